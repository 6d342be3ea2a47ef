/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pointer authentication: QARMA5-64 by its published vector, signing and authenticating addresses.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "guest/arm/tr_pac.h"
#include "test.h"

TEST(qarma_vector)
{
    /* R. Avanzi, "The QARMA Block Cipher Family", table of test vectors, sigma 2, 5 rounds */
    const uint64_t key[2] = { UINT64_C(0xec2802d4e0a488e9), UINT64_C(0x84be85ce9804e94b) };

    CHECK_EQ(a64_qarma5(UINT64_C(0xfb623599da6e8127), UINT64_C(0x477d469dec0b8762), key),
             UINT64_C(0xc003b93999b33765));
}

static void sign_and_check(uint64_t features)
{
    struct a64_cpu *x = xnew(struct a64_cpu);
    uint64_t ptr = UINT64_C(0x12007fabcdef0010), sealed;

    x->features = features;
    for (unsigned n = 0; n < 5; n++)
        x->pac_key[n][0] = x->pac_key[n][1] = UINT64_C(0x0123456789abcdef) * (n + 1);
    sealed = a64_pac_add(x, ptr, 77, A64_KEY_IA);
    CHECK_EQ(sealed & ~(BITS(54, 48)), ptr);
    CHECK_EQ(a64_pac_strip(x, sealed), ptr);
    CHECK_EQ(a64_pac_auth(x, sealed, 77, A64_KEY_IA), ptr);
    /* a wrong modifier or key leaves the error code of the key in bits 54..53 */
    if (sealed != a64_pac_add(x, ptr, 78, A64_KEY_IA))
        CHECK_EQ(a64_pac_auth(x, sealed, 78, A64_KEY_IA), ptr | UINT64_C(1) << 53);
    if (sealed != a64_pac_add(x, ptr, 77, A64_KEY_IB))
        CHECK_EQ(a64_pac_auth(x, sealed, 77, A64_KEY_IB), ptr | UINT64_C(2) << 53);
    free(x);
}

TEST(pointers)
{
    sign_and_check(BIT(A64_FEAT_PAUTH));
    sign_and_check(BIT(A64_FEAT_PAUTH) | BIT(A64_FEAT_PAUTH_IMPDEF));
}
