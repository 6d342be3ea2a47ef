/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parser of user mode's programs, and of "#!" lines: any bytes. What is accepted must keep its
 * promises. */
#include "base/bits.h"
#include "user/process.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_loads(const struct elf_user *e, size_t size)
{
    assert(e->load_count > 0 && e->load_count <= ELF_USER_LOADS_MAX);
    assert(is_pow2(e->align) && e->align >= 4096 && e->first < e->end);
    assert(e->first % 4096 == 0 && e->end % 4096 == 0);
    assert(e->interp_size <= ELF_USER_INTERP_MAX);
    assert(!e->interp_size || (e->interp_off <= size && e->interp_size <= size - e->interp_off));
    assert(e->note_size <= 4096 && (!e->note_size || e->note_off <= size - e->note_size));
    for (unsigned i = 0; i < e->load_count; i++) {
        const struct elf_user_load *l = &e->load[i];
        assert(l->file_size <= l->mem_size && l->prot < 8);
        assert(!l->file_size || (l->file_off <= size && l->file_size <= size - l->file_off));
        assert(l->at >= e->first && l->at + l->mem_size <= e->end && l->at < l->at + l->mem_size);
        assert(!l->file_size || (l->at - l->file_off) % 4096 == 0);
    }
}

static void shebang(const uint8_t *data, size_t size)
{
    size_t len = MIN(size, (size_t)USER_SHEBANG_MAX);
    char *line = calloc(1, len + 1), *interp, *arg;
    assert(line);
    memcpy(line, data, len);
    if (user_shebang(line, len, &interp, &arg)) {
        assert(interp[0] && strlen(interp) < len && !strpbrk(interp, " \t\n"));
        assert(!arg || arg[0]);
    }
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct elf_user e;
    struct error err;
    shebang(data, size);
    if (!elf_user_header(data, MIN(size, (size_t)1024), size, &e, &err)) {
        assert(err.msg[0]);
        return 0;
    }
    size_t len = (size_t)e.phnum * e.phentsize;
    assert(e.phoff <= size && len <= size - e.phoff && len > 0);
    if (!elf_user_segments(data + e.phoff, len, size, &e, &err)) {
        assert(err.msg[0]);
        return 0;
    }
    check_loads(&e, size);
    if (e.note_size)
        (void)elf_user_wants_bti(data + e.note_off, e.note_size);
    return 0;
}
