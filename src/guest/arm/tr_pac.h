/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pointer authentication (FEAT_PAuth) in the translator and as functions. */
#pragma once

#include "guest/arm/tr.h"

#pragma redefine_extname tr_pac_add a64_tr_pac_add
#pragma redefine_extname tr_pac_auth a64_tr_pac_auth
#pragma redefine_extname tr_pac_strip a64_tr_pac_strip

enum a64_pac_key { A64_KEY_IA, A64_KEY_IB, A64_KEY_DA, A64_KEY_DB, A64_KEY_GA };

/* X with its signature put in, tested and taken out, or just taken out. */
ir_val tr_pac_add(struct tr *t, enum a64_pac_key key, ir_val x, ir_val modifier);
ir_val tr_pac_auth(struct tr *t, enum a64_pac_key key, ir_val x, ir_val modifier);
ir_val tr_pac_strip(struct tr *t, ir_val x);

/* ComputePAC: QARMA5-64 of data with tweak modifier; key is {low, high} as in APxKeyLo, Hi. */
uint64_t a64_qarma5(uint64_t data, uint64_t modifier, const uint64_t key[2]);
uint64_t a64_pac_add(struct a64_cpu *x, uint64_t ptr, uint64_t modifier, uint64_t key);
uint64_t a64_pac_auth(struct a64_cpu *x, uint64_t ptr, uint64_t modifier, uint64_t key);
uint64_t a64_pac_strip(struct a64_cpu *x, uint64_t ptr);
uint64_t a64_pacga(struct a64_cpu *x, uint64_t data, uint64_t modifier);
