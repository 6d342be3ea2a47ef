/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AML builder: appends ACPI Machine Language (ACPI 6.4 chapter 20) to a byte array, in the order in
 * which an ASL programmer would write it. Things with a body (scope, device, method, package,
 * template, field, if) are opened by their function and closed by aml_end(), which fills in the
 * package length. Operators are written in prefix order: aml_and(a); aml_path(a, "X"); aml_int(a,
 * 1); aml_none(a). Output is code only: the DSDT's header comes from dev/firmware/acpi.h.
 */
#ifndef DEV_FIRMWARE_AML_H
#define DEV_FIRMWARE_AML_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AML_MAX_DEPTH = 16 };

struct aml {
    GByteArray *code; /* borrowed: appended to */
    struct {
        uint32_t start; /* where the package length goes */
        uint8_t kind;
    } open[AML_MAX_DEPTH];
    unsigned depth;
};

enum aml_space { AML_SYSTEM_MEMORY, AML_SYSTEM_IO, AML_PCI_CONFIG };

void aml_begin(struct aml *a, GByteArray *code);
void aml_end(struct aml *a);    /* closes the innermost open body */
void aml_finish(struct aml *a); /* asserts that nothing is open */

/* bodies */
void aml_scope(struct aml *a, const char *path);
void aml_device(struct aml *a, const char *name);
void aml_method(struct aml *a, const char *name, unsigned args, bool serialized);
void aml_package(struct aml *a, unsigned elements);
void aml_resources(struct aml *a);
void aml_if(struct aml *a);
void aml_else(struct aml *a);                                   /* right after the end of the if */
void aml_buffer(struct aml *a, const void *bytes, uint8_t len); /* has no body */
/* Field with AnyAcc/ByteAcc units: byte access, no lock, preserve. */
void aml_field(struct aml *a, const char *region);
void aml_field_unit(struct aml *a, const char *name, unsigned bits);

/* declarations */
void aml_name(struct aml *a, const char *name); /* the value follows */
void aml_region(struct aml *a, const char *name, enum aml_space space, uint32_t off, uint32_t len);

/* values and operands */
void aml_int(struct aml *a, uint64_t value);
void aml_string(struct aml *a, const char *text);
void aml_eisaid(struct aml *a, const char *id); /* "PNP0A03" */
void aml_path(struct aml *a, const char *path);
void aml_arg(struct aml *a, unsigned n);
void aml_local(struct aml *a, unsigned n);
void aml_none(struct aml *a); /* no result operand */

/* operators: operands follow in prefix order */
void aml_and(struct aml *a);
void aml_or(struct aml *a);
void aml_lnot(struct aml *a);
void aml_equal(struct aml *a);
void aml_store(struct aml *a);
void aml_return(struct aml *a);
void aml_create_dword_field(struct aml *a);

/* resource descriptors, inside aml_resources() */
void aml_io(struct aml *a, uint16_t base, uint8_t len);
void aml_irq_no_flags(struct aml *a, unsigned irq);
void aml_interrupt(struct aml *a, const uint32_t *irqs, unsigned count); /* level, high, shared */
void aml_memory32_fixed(struct aml *a, uint32_t base, uint32_t len, bool writable);
void aml_word_bus(struct aml *a, uint16_t first, uint16_t last);
void aml_word_io(struct aml *a, uint16_t first, uint16_t last);
void aml_dword_memory(struct aml *a, uint32_t first, uint32_t last, bool cacheable);
void aml_qword_memory(struct aml *a, uint64_t first, uint64_t last);

#endif
