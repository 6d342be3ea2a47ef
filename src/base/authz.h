/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may: --object authz-simple,id=,identity= and authz-list-file,id=,filename= (JSON rules),
 * asked with the distinguished name of a TLS client's certificate. */
#ifndef BASE_AUTHZ_H
#define BASE_AUTHZ_H

#include "base/object.h"

extern const struct object_type authz_simple_object, authz_list_file_object;

struct authz;

/* The object, of either type, or NULL with err. Borrowed from the set. */
struct authz *authz_find(struct object_set *s, const char *id, struct error *err);

/* Any thread. A list file is read anew each time: changes to it count at once; one that cannot be
 * read allows nobody. */
bool authz_allows(const struct authz *a, const char *identity);

#endif
