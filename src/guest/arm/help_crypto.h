/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The hash instructions' helpers: v128(n, m, d); those of two registers do not look at m.
 */
#pragma once

#include "guest/arm/a64.h"

extern const struct helper h_sha1c, h_sha1p, h_sha1m, h_sha1su1, h_sha256h, h_sha256h2, h_sha256su0,
    h_sha256su1, h_sha512h, h_sha512h2, h_sha512su0, h_sha512su1;
