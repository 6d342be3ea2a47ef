/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --object: secrets in each of their forms, and what is refused. */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/secret.h"

static bool add(struct object_set *s, const char *text, struct error *err)
{
    *err = (struct error){ 0 };
    return object_add(s, text, err);
}

static void expect(struct object_set *s, const char *id, const char *want)
{
    struct error err;
    char *got;
    size_t len;

    if (!secret_get(s, id, &got, &len, &err)) {
        TEST_FAIL("%s: %s", id, err.msg);
        return;
    }
    CHECK_EQ(len, strlen(want));
    CHECK_STR(got, want);
    secret_free(got, len);
}

TEST(forms)
{
    struct object_set *s = object_set_new();
    struct error err;
    char path[] = "/tmp/rhea-test-secret-XXXXXX", text[100];
    int fd = mkstemp(path);

    CHECK(write(fd, "in a file\n", 10) == 10);
    close(fd);
    snprintf(text, sizeof(text), "secret,id=f,file=%s", path);
    CHECK(add(s, "secret,id=d,data=let,,me in", &err));
    CHECK(add(s, "secret,id=e,data=", &err));
    CHECK(add(s, "secret,id=b64,format=base64,data=bGV0bWVpbg==", &err));
    CHECK(add(s, text, &err));
    CHECK(add(s, "{\"qom-type\": \"secret\", \"id\": \"j\", \"data\": \"json\"}", &err));
    expect(s, "d", "let,me in");
    expect(s, "e", "");
    expect(s, "b64", "letmein");
    expect(s, "f", "in a file\n");
    expect(s, "j", "json");
    unlink(path);
    object_set_free(s);
}

/* printf letmein | openssl enc -aes-256-cbc -a -K 30..31 (32 bytes) -iv 00..0f */
TEST(encrypted)
{
    struct object_set *s = object_set_new();
    struct error err;

    CHECK(add(s, "secret,id=master,data=0123456789abcdef0123456789abcdef", &err));
    CHECK(add(s,
              "secret,id=s,keyid=master,format=base64,iv=AAECAwQFBgcICQoLDA0ODw==,"
              "data=A9cv54/AQAFOV2ReiUc4Yw==",
              &err));
    expect(s, "s", "letmein");
    CHECK(!add(s, "secret,id=t,keyid=master,format=base64,data=A9cv54/AQAFOV2ReiUc4Yw==", &err));
    CHECK_STR(err.msg, "object 't' (secret): IV is required to decrypt secret");
    CHECK(!add(s,
               "secret,id=t,keyid=s,format=base64,iv=AAECAwQFBgcICQoLDA0ODw==,data=A9cv54/"
               "AQAFOV2ReiUc4Yw==",
               &err));
    CHECK(strstr(err.msg, "Key should be 32 bytes"));
    CHECK(!add(s, "secret,id=t,keyid=master,format=base64,iv=AAECAwQFBgcICQoLDA0ODw==,data=AAAA",
               &err));
    CHECK(!add(s, "secret,id=t,keyid=none,format=base64,iv=AAECAwQFBgcICQoLDA0ODw==,data=AAAA",
               &err));
    CHECK(strstr(err.msg, "No secret with id 'none'"));
    object_set_free(s);
}

TEST(refused)
{
    static const struct {
        const char *text, *msg, *hint;
    } cases[] = {
        { "secrte,id=a,data=x", "no object type is called 'secrte'", "did you mean 'secret'?" },
        { "secret,data=x", "Parameter 'id' is missing", NULL },
        { "id=a,data=x", "Parameter 'qom-type' is missing", NULL },
        { "secret,id=9a,data=x", "expects an identifier", NULL },
        { "secret,id=a,daat=x", "no option is called 'daat'", "did you mean 'data'?" },
        { "secret,id=a", "Either 'file' or 'data' must be provided", NULL },
        { "secret,id=a,data=x,file=y", "'file' and 'data' are mutually exclusive", NULL },
        { "secret,id=a,file=/nonexistent", "Unable to read /nonexistent", NULL },
        { "secret,id=a,file=/dev/zero", "no secret is that long", NULL },
        { "secret,id=a,data=x,format=hex", "neither raw nor base64", NULL },
        { "secret,id=a,data=!!!!,format=base64", "Base64", NULL },
        { "secret,id=a,data=abc,format=base64", "Base64", NULL },
        { "secret,id=a,data=ab==cd==,format=base64", "Base64", NULL },
        { "secret,id=a,data=x,iv=AA==", "no keyid", NULL },
        { "secret,id=there,data=x", "duplicate", NULL },
        { "tls-creds-x509,id=t", "Missing 'dir'", NULL },
        { "tls-creds-psk,id=t,dir=/nonexistent", "Unable to access credentials", NULL },
        { "tls-creds-anon,id=t,endpoint=middle", "neither client nor server", NULL },
    };
    struct object_set *s = object_set_new();
    struct error err;

    CHECK(add(s, "secret,id=there,data=x", &err));
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        if (add(s, cases[i].text, &err))
            TEST_FAIL("%s is accepted", cases[i].text);
        else if (!strstr(err.msg, cases[i].msg) ||
                 (cases[i].hint && strcmp(err.hint, cases[i].hint)))
            TEST_FAIL("%s: says %s; %s", cases[i].text, err.msg, err.hint);
    }
    CHECK(!object_find(s, "ther", &secret_object, &err));
    CHECK_STR(err.hint, "did you mean 'there'?");
    CHECK(object_remove(s, "there", &err));
    CHECK(!object_remove(s, "there", &err));
    object_set_free(s);
    CHECK(!object_find(NULL, "x", &secret_object, &err));
}

TEST(help)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    CHECK(object_help(f, "help"));
    CHECK(object_help(f, "secret,help"));
    CHECK(!object_help(f, "secret,id=help"));
    fclose(f);
    CHECK(strstr(text, "List of user creatable objects:"));
    CHECK(strstr(text, "\n  tls-creds-x509 "));
    CHECK(strstr(text, "secret options:\n  data=<string>"));
    free(text);
}
