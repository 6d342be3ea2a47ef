/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Passwords and keys: --object secret,id=,data=|file=,format=raw|base64,keyid=,iv= (AES-256-CBC).
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stddef.h>

#include "base/object.h"

extern const struct object_type secret_object;

/* The plain bytes of the secret named id; *ret is on the heap with a zero byte behind them. Free
 * with secret_free(), which wipes. */
bool secret_get(struct object_set *s, const char *id, char **ret, size_t *ret_len,
                struct error *err) MUST_CHECK;
void secret_free(char *p, size_t len);

#endif
