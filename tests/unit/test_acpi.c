/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI and SMBIOS: what the PC's tables say, linked and as a loader script; iasl reads the DSDT. */
#include "tests/unit/test.h"

#include "base/endian.h"
#include "board/pc.h"
#include "dev/firmware/aml.h"
#include "dev/firmware/smbios.h"

#include <stdlib.h>
#include <unistd.h>

#define TABLES UINT64_C(0x1ff00000)

/* The tables look at which parts there are, at RAM and CPUs: no machine is needed. */
static void make_set(struct acpi_set *set, const struct pc_chipset *chip, uint16_t pm)
{
    static struct device part;
    static struct pc pc;
    static const struct board_config config = { .cpus = 1 };
    memset(&pc, 0, sizeof pc);
    pc.chip = chip;
    pc.b.config = &config;
    pc.ram_low = 512 * MIB;
    pc.b.cpu_count = 1;
    for (unsigned i = 0; i < PC_PARTS; i++)
        pc.part[i] = i == PC_COM3 || i == PC_COM4 || !pc_info(&pc, i)->type ? NULL : &part;
    acpi_set_init(set);
    pc_acpi_build(&pc, pm, set);
}

static const struct pc_chipset *const chips[] = { &i440fx_chipset, &q35_chipset };

static uint8_t sum(const uint8_t *p, uint32_t n)
{
    uint8_t v = 0;
    while (n--)
        v += *p++;
    return v;
}

static const uint8_t *table_at(const struct acpi_set *set, uint64_t gpa)
{
    const GByteArray *b = set->blob[ACPI_TABLES];
    if (gpa < TABLES || gpa - TABLES + 8 > b->len) {
        TEST_FAIL("table pointer %#" PRIx64 " leads outside", gpa);
        return b->data;
    }
    return b->data + (gpa - TABLES);
}

static void linked_tables_are_whole_of(const struct pc_chipset *chip)
{
    struct acpi_set set;
    make_set(&set, chip, 0x600);
    acpi_link(&set, TABLES, 0xf0000);
    const uint8_t *rsdp = set.blob[ACPI_RSDP]->data;
    CHECK_EQ(set.blob[ACPI_RSDP]->len, 36);
    CHECK_EQ(sum(rsdp, 20), 0);
    CHECK_EQ(sum(rsdp, 36), 0);
    const uint8_t *rsdt = table_at(&set, ld_le32(rsdp + 16));
    const uint8_t *xsdt = table_at(&set, ld_le64(rsdp + 24));
    CHECK_MEM(rsdt, "RSDT", 4);
    CHECK_MEM(xsdt, "XSDT", 4);
    unsigned n = (ld_le32(rsdt + 4) - 36) / 4;
    CHECK_EQ(n, (ld_le32(xsdt + 4) - 36) / 8);
    CHECK_EQ(n, chip->mcfg ? 5 : 4);
    for (unsigned i = 0; i < n; i++) {
        uint32_t at = ld_le32(rsdt + 36 + 4 * i);
        CHECK_EQ(at, ld_le64(xsdt + 36 + 8 * i));
        const uint8_t *t = table_at(&set, at);
        CHECK_EQ(sum(t, ld_le32(t + 4)), 0);
    }
    const uint8_t *fadt = table_at(&set, ld_le32(rsdt + 36));
    CHECK_MEM(fadt, "FACP", 4);
    CHECK_MEM(table_at(&set, ld_le32(fadt + 36)), "FACS", 4);
    CHECK_EQ(ld_le32(fadt + 36) % 64, 0);
    const uint8_t *dsdt = table_at(&set, ld_le32(fadt + 40));
    CHECK_MEM(dsdt, "DSDT", 4);
    CHECK_EQ(sum(dsdt, ld_le32(dsdt + 4)), 0);
    CHECK_EQ(ld_le32(fadt + 40), ld_le64(fadt + 140));
    CHECK_EQ(ld_le32(fadt + 56), 0x600);
    acpi_set_finish(&set);
}

TEST(linked_tables_are_whole)
{
    for (unsigned i = 0; i < ARRAY_SIZE(chips); i++)
        linked_tables_are_whole_of(chips[i]);
}

/* What firmware does with the script gives the same bytes as linking here. */
static void run_script(const GByteArray *script, struct acpi_set *set)
{
    CHECK_EQ(script->len % 128, 0);
    for (unsigned i = 0; i < script->len; i += 128) {
        const uint8_t *e = script->data + i;
        uint32_t command = ld_le32(e);
        GByteArray *b =
            set->blob[strcmp((const char *)e + 4, ACPI_RSDP_FILE) ? ACPI_TABLES : ACPI_RSDP];
        if (command == 2) {
            uint8_t *p = b->data + ld_le32(e + 116);
            uint8_t le[8] = { 0 };
            memcpy(le, p, e[120]);
            st_le64(le, ld_le64(le) + TABLES);
            memcpy(p, le, e[120]);
        } else if (command == 3) {
            uint32_t off = ld_le32(e + 60), start = ld_le32(e + 64), len = ld_le32(e + 68);
            CHECK(start + len <= b->len && off < b->len);
            b->data[off] -= sum(b->data + start, len);
        } else {
            CHECK_EQ(command, 1);
        }
    }
}

static void loader_script_does_the_same_of(const struct pc_chipset *chip)
{
    struct acpi_set linked, scripted;
    make_set(&linked, chip, 0x600);
    make_set(&scripted, chip, 0x600);
    GByteArray *script = acpi_loader_script(&scripted);
    acpi_link(&linked, TABLES, 0xf0000);
    run_script(script, &scripted);
    for (unsigned i = 0; i < ACPI_BLOB_COUNT; i++) {
        CHECK_EQ(linked.blob[i]->len, scripted.blob[i]->len);
        CHECK_MEM(linked.blob[i]->data, scripted.blob[i]->data, linked.blob[i]->len);
    }
    g_byte_array_unref(script);
    acpi_set_finish(&linked);
    acpi_set_finish(&scripted);
}

TEST(loader_script_does_the_same)
{
    for (unsigned i = 0; i < ARRAY_SIZE(chips); i++)
        loader_script_does_the_same_of(chips[i]);
}

static void length_does_not_depend_on_pm_base_of(const struct pc_chipset *chip)
{
    struct acpi_set a, b;
    make_set(&a, chip, 0xffc0);
    make_set(&b, chip, 0x40);
    CHECK_EQ(a.blob[ACPI_TABLES]->len, b.blob[ACPI_TABLES]->len);
    acpi_set_finish(&a);
    acpi_set_finish(&b);
}

TEST(length_does_not_depend_on_pm_base)
{
    for (unsigned i = 0; i < ARRAY_SIZE(chips); i++)
        length_does_not_depend_on_pm_base_of(chips[i]);
}

TEST(aml_encodings)
{
    GByteArray *code = g_byte_array_new();
    struct aml a;
    aml_begin(&a, code);
    aml_name(&a, "_HID");
    aml_eisaid(&a, "PNP0A03");
    aml_name(&a, "\\_SB.PCI0.ISA");
    aml_int(&a, 0x100);
    aml_package(&a, 1);
    aml_int(&a, UINT64_C(0x123456789a));
    aml_end(&a);
    aml_finish(&a);
    static const uint8_t want[] = {
        0x08, '_',  'H', 'I', 'D',  0x0c, 0x41, 0xd0, 0x0a, 0x03, 0x08, '\\', 0x2f, 3,
        '_',  'S',  'B', '_', 'P',  'C',  'I',  '0',  'I',  'S',  'A',  '_',  0x0b, 0x00,
        0x01, 0x12, 11,  1,   0x0e, 0x9a, 0x78, 0x56, 0x34, 0x12, 0,    0,    0,
    };
    CHECK_EQ(code->len, sizeof want);
    CHECK_MEM(code->data, want, sizeof want);
    g_byte_array_unref(code);
}

TEST(long_package_length)
{
    GByteArray *code = g_byte_array_new();
    struct aml a;
    aml_begin(&a, code);
    aml_scope(&a, "\\_SB");
    for (unsigned i = 0; i < 100; i++)
        aml_string(&a, "text");
    aml_end(&a);
    /* 2 length bytes + 5 of name + 600: bits 3:0 in the first byte, 11:4 in the second */
    CHECK_EQ(code->len, 1 + 2 + 5 + 600);
    CHECK_EQ(code->data[1], 0x40 | (607 & 15));
    CHECK_EQ(code->data[2], 607 >> 4);
    g_byte_array_unref(code);
}

static void iasl_reads_the_dsdt_of(const struct pc_chipset *chip)
{
    char dir[] = "/tmp/rhea-acpi-XXXXXX", command[256], path[64];
    struct acpi_set set;
    if (system("command -v iasl >/dev/null 2>&1") != 0 || !mkdtemp(dir))
        return;
    make_set(&set, chip, 0x600);
    acpi_link(&set, TABLES, 0xf0000);
    const GByteArray *b = set.blob[ACPI_TABLES];
    snprintf(path, sizeof path, "%s/dsdt.aml", dir);
    FILE *f = fopen(path, "wb");
    if (f) {
        const uint8_t *t = b->data + 64;
        CHECK_MEM(t, "DSDT", 4);
        CHECK_EQ(fwrite(t, 1, ld_le32(t + 4), f), ld_le32(t + 4));
        fclose(f);
        snprintf(command, sizeof command,
                 "cd %s && iasl -d dsdt.aml >log 2>&1 && ! grep -i error log && "
                 "iasl -vs -p again dsdt.dsl >log2 2>&1 || { cat log log2; false; }",
                 dir);
        CHECK_EQ(system(command), 0);
    }
    snprintf(command, sizeof command, "rm -r %s", dir);
    CHECK_EQ(system(command), 0);
    acpi_set_finish(&set);
}

TEST(iasl_reads_the_dsdt)
{
    for (unsigned i = 0; i < ARRAY_SIZE(chips); i++)
        iasl_reads_the_dsdt_of(chips[i]);
}

TEST(smbios)
{
    struct smbios s;
    struct smbios_info info = {
        .manufacturer = "QEMU",
        .product = "PC",
        .version = "v",
        .cpu_name = "c",
        .bios_version = "0",
        .sockets = 1,
        .cores = 1,
        .threads = 1,
        .ram_low = 512 * MIB,
    };
    memcpy(info.uuid, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
    smbios_build(&s, &info);
    smbios_link(&s, 0xf0080);
    CHECK_EQ(sum(s.anchor->data, 31), 0);
    CHECK_EQ(sum(s.anchor->data + 16, 15), 0);
    CHECK_EQ(ld_le16(s.anchor->data + 22), s.tables->len);
    unsigned count = 0, last = 0, at = 0, types = 0;
    while (at + 4 <= s.tables->len) {
        const uint8_t *p = s.tables->data + at;
        last = p[0];
        if (last == 1)
            CHECK_MEM(p + 8, "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
                      16);
        types |= last < 32 ? 1u << last : 0;
        for (at += p[1]; at + 2 <= s.tables->len && ld_le16(s.tables->data + at); at++)
            ;
        at += 2;
        count++;
    }
    CHECK_EQ(at, s.tables->len);
    CHECK_EQ(last, 127);
    CHECK_EQ(types, 1u << 0 | 1u << 1 | 1u << 3 | 1u << 4 | 1u << 16 | 1u << 17 | 1u << 19);
    CHECK_EQ(count, ld_le16(s.anchor->data + 28));
    smbios_finish(&s);
}
