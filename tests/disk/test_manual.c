/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rhea-disk(7) has each driver and each option that the records have. */
#include <stdlib.h>

#include "disk/node.h"
#include "test.h"

static char manual[1 << 18];

/* Tests run in the build folder, which lies in the source's or beside it; or RHEA_SOURCE says. */
static bool read_manual(void)
{
    const char *const dirs[] = { getenv("RHEA_SOURCE"), "..", ".", "../..", "../../.." };

    for (unsigned i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        char path[512];
        FILE *f;

        if (!dirs[i])
            continue;
        snprintf(path, sizeof(path), "%s/docs/manual/rhea-disk.7", dirs[i]);
        f = fopen(path, "r");
        if (!f)
            continue;
        manual[fread(manual, 1, sizeof(manual) - 1, f)] = '\0';
        fclose(f);
        return true;
    }
    return false;
}

/* As troff has it: "a\-b". */
static void escape(char *to, const char *from, bool dash)
{
    for (; *from; from++) {
        if (*from == '-' || (dash && *from == '_')) {
            *to++ = '\\';
            *to++ = '-';
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

static void check_options(const char *driver, const char *section, size_t len,
                          const struct field *f, bool dash)
{
    for (; f && f->name; f++) {
        char name[128], want[160];
        const char *hit;

        escape(name, f->wire ? f->wire : f->name, dash);
        snprintf(want, sizeof(want), "\n.BI %s= ", name);
        hit = strstr(section, want);
        if (!hit || hit >= section + len)
            TEST_FAIL("rhea-disk(7): %s: option %s is missing", driver,
                      f->wire ? f->wire : f->name);
    }
}

TEST(manual_is_complete)
{
    if (!read_manual()) {
        TEST_FAIL("docs/manual/rhea-disk.7 not found; set RHEA_SOURCE to the source folder");
        return;
    }
    for (unsigned i = 0; disk_drivers[i]; i++) {
        const struct disk_driver *d = disk_drivers[i];
        char name[128], want[160];
        const char *section, *end;

        escape(name, d->name, false);
        snprintf(want, sizeof(want), "\n.SS %s\n", name);
        section = strstr(manual, want);
        if (!section) {
            TEST_FAIL("rhea-disk(7): driver %s is missing", d->name);
            continue;
        }
        end = strstr(section + 1, "\n.S");
        check_options(d->name, section, (size_t)(end - section), d->options, true);
        check_options(d->name, section, (size_t)(end - section), d->create_options, false);
    }
}
