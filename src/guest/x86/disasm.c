/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Disassembly by capstone, where it was found at configure time.
 */
#include "guest/x86/disasm.h"

#ifdef RHEA_CAPSTONE
#include <capstone/capstone.h>

void x86_disassemble(FILE *f, const uint8_t *code, size_t size, gva_t pc, unsigned bits)
{
    cs_mode mode = bits == 64 ? CS_MODE_64 : bits == 32 ? CS_MODE_32 : CS_MODE_16;
    csh handle;
    cs_insn *insn;

    if (cs_open(CS_ARCH_X86, mode, &handle) != CS_ERR_OK)
        return;
    insn = cs_malloc(handle);
    while (insn && size) {
        uint64_t at = pc;

        if (cs_disasm_iter(handle, &code, &size, &pc, insn)) {
            fprintf(f, "0x%08llx:  %s %s\n", (unsigned long long)at, insn->mnemonic, insn->op_str);
            continue;
        }
        fprintf(f, "0x%08llx:  .byte 0x%02x\n", (unsigned long long)at, *code);
        code++, pc++, size--;
    }
    if (insn)
        cs_free(insn, 1);
    cs_close(&handle);
}
#endif
