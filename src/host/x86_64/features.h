/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What this computer's processor has, and the disassembler.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "host/host.h"

/* HAS_* bits; 0 on another kind of machine. The environment variable RHEA_HOST_CPU=base turns the
 * optional ones off, for tests. */
unsigned host_x64_features(void);
void x64_disassemble(FILE *f, const struct host_code_buf *buf, uint32_t code, uint32_t size);
