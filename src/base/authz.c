/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/authz.h"

#include <errno.h>
#include <fnmatch.h>
#include <jansson.h>
#include <string.h>

#include "base/bits.h"

/* Both types; a list file has no identity. */
struct authz {
    char *identity, *filename;
};

/* The rules of {"policy": "deny", "rules": [{"match": "CN=a*", "policy": "allow", "format":
 * "glob"}]} in order; the first that matches decides, else the policy. */
static bool is_allow(const json_t *policy)
{
    return json_is_string(policy) && !strcmp(json_string_value(policy), "allow");
}

static bool rule_matches(const json_t *rule, const char *identity)
{
    const char *match = json_string_value(json_object_get(rule, "match"));
    const char *format = json_string_value(json_object_get(rule, "format"));
    if (!match)
        return false;
    return format && !strcmp(format, "glob") ? !fnmatch(match, identity, 0)
                                             : !strcmp(match, identity);
}

static bool list_allows(const json_t *root, const char *identity)
{
    const json_t *rules = json_object_get(root, "rules");
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *rule = json_array_get(rules, i);
        if (rule_matches(rule, identity))
            return is_allow(json_object_get(rule, "policy"));
    }
    return is_allow(json_object_get(root, "policy"));
}

bool authz_allows(const struct authz *a, const char *identity)
{
    if (a->identity)
        return !strcmp(a->identity, identity);
    json_t *root = json_load_file(a->filename, JSON_REJECT_DUPLICATES, NULL);
    bool ok = root && list_allows(root, identity);
    json_decref(root);
    return ok;
}

struct authz *authz_find(struct object_set *s, const char *id, struct error *err)
{
    const struct object_type *const types[] = { &authz_simple_object, &authz_list_file_object };
    const struct object_type *type;
    return object_find_any(s, id, types, ARRAY_SIZE(types), &type, err);
}

static bool simple_complete(void *obj, struct object_set *set, struct error *err)
{
    const struct authz *a = obj;
    return a->identity || fail(err, EINVAL, "parameter 'identity' is missing");
}

static bool list_file_complete(void *obj, struct object_set *set, struct error *err)
{
    const struct authz *a = obj;
    json_error_t why;
    if (!a->filename)
        return fail(err, EINVAL, "parameter 'filename' is missing");
    json_t *root = json_load_file(a->filename, JSON_REJECT_DUPLICATES, &why);
    bool ok = json_is_array(json_object_get(root, "rules"));
    json_decref(root);
    return ok || fail(err, EINVAL, "'%s' is not a list of rules: %s", a->filename,
                      root ? "member 'rules' is missing" : why.text);
}

const struct object_type authz_simple_object = {
    .name = "authz-simple",
    .doc = "one identity that may",
    .size = sizeof(struct authz),
    .props = FIELDS(FIELD(struct authz, identity, .doc = "distinguished name of the certificate")),
    .complete = simple_complete,
};

const struct object_type authz_list_file_object = {
    .name = "authz-list-file",
    .doc = "a file of rules who may",
    .size = sizeof(struct authz),
    .props = FIELDS(FIELD(struct authz, filename,
                          .doc = "JSON: {\"policy\": \"deny\", \"rules\": [{\"match\": \"CN=a*\", "
                                 "\"policy\": \"allow\", \"format\": \"glob\"}]}")),
    .complete = list_file_complete,
};
