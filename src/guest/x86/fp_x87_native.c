/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One x87 instruction on the host's x87 with the guest's whole state: FRSTOR, the instruction,
 * FNSAVE. So every result, flag, tag and masked or unmasked response is the hardware's. The fast
 * helpers of fp_x87.c come here whenever something is unusual.
 *
 * The instruction is a stub in one of two tables: all register forms D8 C0 .. DF FF, all memory
 * forms on [rdi]. FNSAVE does not wait, so an unmasked exception that the instruction leaves
 * pending never reaches the host; FNSAVE leaves the x87 as FNINIT does.
 */
#include <string.h>

#include "guest/x86/fp.h"

__asm__(".text\n"
        ".p2align 4\n"
        ".type x87_native_asm, @function\n"
        "x87_native_asm:\n"
        "    pushq %rbx\n"
        "    movq %rdi, %rbx\n"
        "    frstor (%rbx)\n"
        "    movq %rdx, %rdi\n"
        "    xorl %eax, %eax\n"
        "    call *%rsi\n"
        "    lahf\n"
        "    fnsave (%rbx)\n"
        "    movzbl %ah, %eax\n"
        "    popq %rbx\n"
        "    ret\n"
        ".size x87_native_asm, . - x87_native_asm\n"
        ".p2align 4\n"
        "x87_stubs_reg:\n"
        ".set op, 0xd8\n"
        ".rept 8\n"
        "    .set rm, 0xc0\n"
        "    .rept 64\n"
        "        .byte op, rm\n"
        "        ret\n"
        "        .byte 0xcc\n"
        "        .set rm, rm + 1\n"
        "    .endr\n"
        "    .set op, op + 1\n"
        ".endr\n"
        "x87_stubs_mem:\n"
        ".set op, 0xd8\n"
        ".rept 8\n"
        "    .set rm, 7\n"
        "    .rept 8\n"
        "        .byte op, rm\n"
        "        ret\n"
        "        .byte 0xcc\n"
        "        .set rm, rm + 8\n"
        "    .endr\n"
        "    .set op, op + 1\n"
        ".endr\n");

extern const uint8_t x87_stubs_reg[8 * 64][4] __attribute__((visibility("hidden")));
extern const uint8_t x87_stubs_mem[8 * 8][4] __attribute__((visibility("hidden")));
extern uint32_t x87_native_asm(struct x87_image *image, const void *stub, void *mem)
    __attribute__((visibility("hidden")));

const void *x87_stub_reg(unsigned fop)
{
    return x87_stubs_reg[(fop >> 8 & 7) * 64 + (fop & 63)];
}

const void *x87_stub_mem(unsigned fop)
{
    return x87_stubs_mem[(fop >> 8 & 7) * 8 + (fop >> 3 & 7)];
}

uint32_t x87_native(struct x87_image *image, const void *stub, void *mem)
{
    return x87_native_asm(image, stub, mem);
}

/* The guest's state without its sticky flags, so that those of the next instruction show. */
static void load_image(const struct x86_cpu *x, struct x87_image *im)
{
    unsigned tags = 0;

    for (unsigned r = 0; r < 8; r++)
        tags |= x->ftw >> r & 1 ? 0 : 3u << 2 * r;
    *im = (struct x87_image){
        .cw = x->fcw | 0xffff0000u,
        .tag = tags | 0xffff0000u,
        .sw = (x->fsw & ~(X87_FLAGS | X87_SF | X87_ES | X87_B)) | 0xffff0000u,
    };
    for (unsigned i = 0; i < 8; i++)
        memcpy(im->st[i], &x->st[x87_phys(x, i)], 10);
}

void x87_commit(struct x86_cpu *x, const struct x87_image *im)
{
    uint16_t sticky = x->fsw & (X87_FLAGS | X87_SF);
    unsigned used = 0;

    x->fsw = im->sw | sticky;
    for (unsigned r = 0; r < 8; r++)
        used |= ((im->tag >> 2 * r & 3) != 3) << r;
    x->ftw = used;
    for (unsigned i = 0; i < 8; i++)
        memcpy(&x->st[x87_phys(x, i)], im->st[i], 10);
    x87_update_es(x);
}

uint32_t x87_run_reg(struct x86_cpu *x, uint64_t where)
{
    struct x87_image im;
    uint32_t flags;

    load_image(x, &im);
    flags = x87_native(&im, x87_stub_reg(where >> X87_WHERE_FOP & 0x7ff), NULL);
    x87_commit(x, &im);
    return flags;
}

bool x87_run_mem(struct x86_cpu *x, uint64_t where, void *buf, struct x87_image *ret_image)
{
    load_image(x, ret_image);
    x87_native(ret_image, x87_stub_mem(where >> X87_WHERE_FOP & 0x7ff), buf);
    return !(ret_image->sw & ~x->fcw & (X87_IE | X87_OE | X87_UE));
}
