/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The x86 CPU's state and what the parts of guest/x86 share. Manual references: Intel SDM (vol.
 * 1-3), AMD APM.
 */
#pragma once

#include "cpu/cpu.h"
#include "cpu/guest.h"

enum x86_reg {
    X86_RAX,
    X86_RCX,
    X86_RDX,
    X86_RBX,
    X86_RSP,
    X86_RBP,
    X86_RSI,
    X86_RDI,
    X86_R8,
    X86_R15 = 15
};
enum x86_segreg {
    X86_ES,
    X86_CS,
    X86_SS,
    X86_DS,
    X86_FS,
    X86_GS,
    X86_SEG_COUNT,
    X86_SEG_NONE = X86_SEG_COUNT
};

/* Lazy flags. cc_op says how the arithmetic flags follow from cc_a, cc_b, cc_c. Size forms: op +
 * 0..3 for 8, 16, 32, 64 bits. Values are kept zero-extended or with garbage above the size:
 * readers look at the low bits only. */
enum x86_cc {
    X86_CC_EFLAGS,     /* cc_a = the six flags in EFLAGS position */
    X86_CC_ADD = 4,    /* cc_a = result, cc_b = second operand */
    X86_CC_ADC = 8,    /* cc_a = first, cc_b = second operand, cc_c = carry in */
    X86_CC_SUB = 12,   /* cc_a = first, cc_b = second operand (CMP, SUB, NEG with first 0) */
    X86_CC_SBB = 16,   /* cc_a = first, cc_b = second, cc_c = borrow in */
    X86_CC_LOGIC = 20, /* cc_a = result; CF OF AF 0 */
    X86_CC_INC = 24,   /* cc_a = result, cc_b = CF kept */
    X86_CC_DEC = 28,   /* cc_a = result, cc_b = CF kept */
    X86_CC_SHL = 32,   /* cc_a = result, cc_b = value shifted by count-1 (CF is its top bit) */
    X86_CC_SHR = 36,   /* SHR and SAR: cc_a = result, cc_b = value shifted by count-1 (CF is its bit
                          0; OF = top bit of cc_b ^ top bit of cc_a) */
    X86_CC_MUL = 40,   /* cc_a = low result (SF ZF PF), cc_b = nonzero when CF and OF are set */
    X86_CC_COUNT = 44,
    X86_CC_DYNAMIC = 255, /* translator only: known at run time */
};

enum { /* EFLAGS */
       X86_CF = 1,
       X86_PF = 4,
       X86_AF = 0x10,
       X86_ZF = 0x40,
       X86_SF = 0x80,
       X86_TF = 0x100,
       X86_IF = 0x200,
       X86_DF = 0x400,
       X86_OF = 0x800,
       X86_IOPL = 0x3000,
       X86_NT = 0x4000,
       X86_RF = 0x10000,
       X86_VM = 0x20000,
       X86_AC = 0x40000,
       X86_VIF = 0x80000,
       X86_VIP = 0x100000,
       X86_ID = 0x200000,
       X86_ARITH = X86_CF | X86_PF | X86_AF | X86_ZF | X86_SF | X86_OF,
};

enum { /* control registers */
       X86_CR0_PE = 1,
       X86_CR0_MP = 2,
       X86_CR0_EM = 4,
       X86_CR0_TS = 8,
       X86_CR0_ET = 16,
       X86_CR0_NE = 32,
       X86_CR0_WP = 1 << 16,
       X86_CR0_AM = 1 << 18,
       X86_CR0_NW = 1 << 29,
       X86_CR0_CD = 1 << 30,
};
#define X86_CR0_PG (UINT64_C(1) << 31)
enum {
    X86_CR4_VME = 1,
    X86_CR4_PVI = 2,
    X86_CR4_TSD = 4,
    X86_CR4_DE = 8,
    X86_CR4_PSE = 16,
    X86_CR4_PAE = 32,
    X86_CR4_MCE = 64,
    X86_CR4_PGE = 128,
    X86_CR4_PCE = 256,
    X86_CR4_OSFXSR = 512,
    X86_CR4_OSXMMEXCPT = 1024,
    X86_CR4_UMIP = 1 << 11,
    X86_CR4_FSGSBASE = 1 << 16,
    X86_CR4_PCIDE = 1 << 17,
    X86_CR4_OSXSAVE = 1 << 18,
    X86_CR4_SMEP = 1 << 20,
    X86_CR4_SMAP = 1 << 21,
};
enum {
    X86_EFER_SCE = 1,
    X86_EFER_LME = 1 << 8,
    X86_EFER_LMA = 1 << 10,
    X86_EFER_NXE = 1 << 11,
    X86_EFER_FFXSR = 1 << 14
};

enum x86_vector {
    X86_DE,
    X86_DB,
    X86_NMI,
    X86_BP,
    X86_OF_VEC,
    X86_BR,
    X86_UD,
    X86_NM,
    X86_DF_VEC,
    X86_TS = 10,
    X86_NP,
    X86_SS_VEC,
    X86_GP,
    X86_PF_VEC,
    X86_MF = 16,
    X86_AC_VEC,
    X86_MC,
    X86_XM,
};

/* The mode word: all a translation depends on. Part of the block key. */
enum {
    X86_MODE_CPL = 3, /* bits 0-1 */
    X86_MODE_CODE16 = 0,
    X86_MODE_CODE32 = 4,
    X86_MODE_CODE64 = 8,
    X86_MODE_CODE = 12,       /* bits 2-3: size of code */
    X86_MODE_SS32 = 1 << 4,   /* stack uses ESP (not SP); not looked at in 64-bit code */
    X86_MODE_ADDSEG = 1 << 5, /* DS, ES or SS has a base other than 0 (outside 64-bit code) */
    X86_MODE_PE = 1 << 6,
    X86_MODE_VM = 1 << 7,
    X86_MODE_IOPL = 3 << 8,
    X86_MODE_TF = 1 << 10,     /* single step: one instruction, then #DB */
    X86_MODE_FPU_NM = 1 << 11, /* x87 raises #NM (CR0.EM or TS); MMX/SSE with TS too, see below */
    X86_MODE_SSE_UD = 1 << 12, /* SSE raises #UD: CR0.EM or no OSFXSR */
    X86_MODE_TS = 1 << 13,     /* CR0.TS: SSE, MMX and WAIT (with MP) raise #NM */
    X86_MODE_EM = 1 << 14,     /* CR0.EM: MMX raises #UD */
    X86_MODE_XM = 1 << 15,     /* an SSE exception is unmasked: check after each operation */
    X86_MODE_LIMITS = 1 << 16, /* some segment is not flat: check limits and types on access */
    X86_MODE_LIMITS_FG = 1 << 23, /* the same of FS and GS, for accesses through them */
    X86_MODE_BREAK = 1 << 17, /* DR7 has instruction breakpoints enabled: one instruction per block,
                                 checked by a helper */
    X86_MODE_LMA = 1 << 18,
    X86_MODE_OSXSAVE = 1 << 19,
    X86_MODE_AC = 1 << 20, /* alignment check active: CR0.AM, EFLAGS.AC, CPL 3 */
    X86_MODE_MP = 1 << 21,
    X86_MODE_TSD = 1 << 22,
};

enum {
    X86_MMU_KERNEL,
    X86_MMU_KERNEL_NOSMAP,
    X86_MMU_USER
}; /* MMU indices: CPL<3 with SMAP enforced; without; CPL 3. Implicit supervisor accesses (GDT, IDT,
      TSS) use KERNEL */

struct x86_seg {
    uint64_t base;
    uint32_t limit; /* in bytes, granularity applied: last valid offset */
    uint32_t flags; /* descriptor bits 40-55 as they lie in the second dword: (hi >> 8) & 0xf0ff */
    uint16_t selector;
    bool null; /* loaded with a null selector or marked unusable: access is #GP (outside 64-bit
                  mode) */
};
enum { /* struct x86_seg.flags */
       X86_SEG_TYPE = 15,
       X86_SEG_A = 1,
       X86_SEG_W = 2,
       X86_SEG_E = 4,
       X86_SEG_CODE = 8,
       X86_SEG_S = 1 << 4,
       X86_SEG_DPL = 3 << 5,
       X86_SEG_P = 1 << 7,
       X86_SEG_L = 1 << 13,
       X86_SEG_DB = 1 << 14,
       X86_SEG_G = 1 << 15,
};

struct x87_reg {
    uint64_t mant;
    uint16_t se;
    uint16_t pad[3];
}; /* 80-bit in the first ten bytes; MMX is mant */

/* Where a vCPU sits: what CPUID tells. */
struct x86_topology {
    uint32_t apic_id;
    uint16_t dies, cores, threads; /* in a package, a die, a core */
};

struct x86_cpu {
    struct cpu c;
    /* hot, unpinned slots first: 8-bit displacements */
    uint64_t cc_a, cc_b, cc_c;
    uint32_t cc_op;
    uint32_t df; /* 0 or X86_DF; not in eflags below */
    uint64_t rip;
    uint64_t gpr[16];
    uint64_t seg_base[6]; /* copy of seg[n].base for translated code; fs and gs: their MSRs */
    union ir_v128 xmm[16];
    /* less hot */
    struct x86_seg seg[6], ldt, tr;
    struct {
        uint64_t base;
        uint32_t limit;
    } gdt, idt;
    uint32_t eflags; /* everything but the six arithmetic flags and DF */
    uint64_t cr0, cr2, cr3, cr4, efer, xcr0;
    uint64_t dr[8];
    uint64_t pdpte[4]; /* PAE, loaded with CR3 */
    uint64_t a20_mask; /* ~0, or bit 20 cleared */
    uint64_t a20_line; /* what it is outside of system management mode */
    /* x87 */
    struct x87_reg st[8]; /* physical registers R0-R7 */
    uint16_t fcw, fsw;    /* fsw: TOP in its bits 11-13, always current */
    uint8_t ftw;          /* 1 bit per physical register: 1 = in use (abridged form) */
    uint16_t fop;
    uint64_t fip, fdp;
    uint16_t fcs, fds;
    void (*ferr)(
        void *opaque,
        bool asserted); /* the FERR# pin (CR0.NE clear), set by the board; NULL: not connected */
    void *ferr_opaque;
    bool ignne; /* IGNNE# (port F0h): go on although an exception is pending; falls with FERR# */
    /* pending exception, for guest->deliver */
    int exc_vector; /* -1: none */
    uint32_t exc_error;
    bool exc_has_error;
    bool exc_software;     /* INT n, INT3, INTO: DPL is checked, next_rip is pushed */
    bool exc_icebp;        /* INT1: a trap without DPL check */
    bool exc_noncanonical; /* #GP by a non-canonical address: may have to be #SS */
    uint64_t exc_cr2;      /* for #PF */
    uint64_t exc_dr6;      /* for #DB: bits to set */
    uint64_t exc_next_rip; /* software interrupts and traps: the rip to push */
    int delivering;     /* exception in delivery: for double fault; 256: an interrupt; -1: none */
    bool shutdown;      /* after a triple fault: only a reset or NMI ends it */
    uint8_t cpl;        /* current privilege level */
    uint8_t watch_hits; /* data breakpoints that the running instruction hit: bits of DR6 */
    bool nmi_blocked;
    bool smm;       /* in system management mode */
    bool wait_sipi; /* an application processor after reset or INIT: only SIPI ends it */
    bool inhibit;   /* interrupt shadow of STI, MOV SS, POP SS */
    /* MSRs and friends */
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip,
        tsc_aux, pat, misc_enable, apic_base;
    uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_var[16];
    /* user mode: descriptors as Linux's GDT has them; thread-local ones at X86_GDT_TLS */
    bool user;
    uint64_t user_gdt[16];
    int64_t tsc_offset, tsc_adjust;
    uint64_t tsc_hz;
    uint64_t mcg_status, mce_banks[40];
    uint64_t smbase, debugctl, xss, spec_ctrl;
    /* of KVM's guests: addresses of kvm-clock and the like */
    uint64_t kvm_clock, kvm_wall_clock, kvm_async_pf, kvm_async_pf_int, kvm_steal_time, kvm_pv_eoi,
        kvm_poll_control;
    /* model: constant after init (cpuid.c) */
    const struct x86_model *model;
    const struct x86_host *host; /* an accelerator runs it; NULL: translation */
    uint32_t features[16];       /* words, enum x86_feature >> 5 */
    uint32_t vendor;             /* 0 Intel, 1 AMD: for the few behaviours that differ */
    uint8_t phys_bits;
    bool mwait_is_nop;
    struct x86_topology topology; /* x86_set_topology() */
};

/* Slots: order of enum x86_slot is that of x86_slots[]. */
enum x86_slot {
    X86_SLOT_GPR, /* 16 of them: X86_SLOT_GPR + reg, i64 */
    X86_SLOT_RIP = 16,
    X86_SLOT_CC_A,
    X86_SLOT_CC_B,
    X86_SLOT_CC_C, /* i64 */
    X86_SLOT_CC_OP,
    X86_SLOT_DF,                          /* i32 */
    X86_SLOT_SEG_BASE,                    /* 6 of them, i64 */
    X86_SLOT_XMM = X86_SLOT_SEG_BASE + 6, /* 16 of them, v128 */
    X86_SLOT_EFLAGS = X86_SLOT_XMM + 16,  /* i32: system flags */
    X86_SLOT_CR2,
    X86_SLOT_FPCSR, /* i64, i32 */
    X86_SLOT_FSW,
    X86_SLOT_FCW,
    X86_SLOT_FTW,                          /* i16 i16 i8 */
    X86_SLOT_ST,                           /* 8 mantissas (MMX registers), i64 */
    X86_SLOT_ST_SE = X86_SLOT_ST + 8,      /* 8 sign/exponents, i16 */
    X86_SLOT_INHIBIT = X86_SLOT_ST_SE + 8, /* i8 */
    X86_SLOT_SEG_LIMIT,                    /* 6, i32 */
    X86_SLOT_EVENTS =
        X86_SLOT_SEG_LIMIT + 6, /* i32: events that wait; never written by translated code */
    X86_SLOT_COUNT,
};
extern const struct ir_slot x86_slots[X86_SLOT_COUNT];
extern const struct guest x86_guest;

static inline struct x86_cpu *x86_of(struct cpu *cpu)
{
    return (struct x86_cpu *)cpu;
}

/* CPUID features: word << 5 | bit. Words: 0 = 1.EDX, 1 = 1.ECX, 2 = 80000001.EDX, 3 = 80000001.ECX,
 * 4 = 7.0.EBX, 5 = 7.0.ECX, 6 = 7.0.EDX, 7 = 0D.1.EAX, 8 = 80000008.EBX, 9 = 6.EAX */
#define X86_FEATURE(word, bit) ((word) << 5 | (bit))
static inline bool x86_has(const struct x86_cpu *x, unsigned feature)
{
    return x->features[feature >> 5] >> (feature & 31) & 1;
}

/* ---- exceptions (sys_exc.c). All but x86_deliver are for helpers. ---- */
_Noreturn void x86_raise(struct x86_cpu *x, int vector);
_Noreturn void x86_raise_error(struct x86_cpu *x, int vector, uint32_t error);
/* EFLAGS with the arithmetic flags computed from cc_*, DF included. State in memory (helpers). */
uint32_t x86_eflags(const struct x86_cpu *x);
uint32_t x86_cc_flags(uint32_t cc_op, uint64_t a, uint64_t b,
                      uint64_t c); /* the six flags (cc.c) */
/* Sets the whole EFLAGS image under mask (cc becomes X86_CC_EFLAGS); callers end the region when
 * TF, IF, VM, AC, IOPL may change. */
void x86_set_eflags(struct x86_cpu *x, uint32_t value, uint32_t mask);
static inline unsigned x86_cpl(const struct x86_cpu *x)
{
    return x->cpl;
} /* 3 in VM86, 0 in real mode */

/* ---- user mode (user.c) ----
 * An exception (CPU_LEFT_EXCEPTION) is in exc_vector, exc_error and, for #PF, exc_cr2 (the
 * address). Traps (#BP, #OF by INTO, INT1, single step) have exc_next_rip, the pc that a signal
 * handler is to see; for all others it is rip. SYSCALL and INT 80h leave with CPU_LEFT_SYSCALL, rip
 * behind them. */
extern const struct guest x86_guest_i386; /* 32-bit Linux programs */
enum {
    X86_GDT_TLS = 12,
    X86_GDT_TLS_COUNT = 3
}; /* entries for set_thread_area, as in a 64-bit kernel */
enum { X86_USER32_CS = 0x23, X86_USER_DS = 0x2b, X86_USER_CS = 0x33 };
/* The base of FS or GS (arch_prctl): canonical user addresses only, else false. */
bool x86_user_set_base(struct cpu *cpu, enum x86_segreg seg, uint64_t base);
/* set_thread_area: descriptor of a TLS entry. False: no such entry. Segment registers that hold its
 * selector take it when they are loaded next. */
bool x86_user_set_tls(struct cpu *cpu, unsigned entry, uint64_t desc);
uint64_t x86_user_tls(const struct cpu *cpu, unsigned entry);
/* A segment register from a selector without raising, for sigreturn and clone: false when it is
 * none that user code may load. */
bool x86_user_load_seg(struct cpu *cpu, enum x86_segreg seg, uint16_t sel);

/* ---- direct kernel boot (boot.c): called by the board while the vCPU stands still after reset
 * ---- */
struct x86_boot_state {
    enum { X86_BOOT_LONG64, X86_BOOT_PROT32 } kind;
    uint64_t rip, rsi, rbx, rsp; /* LONG64: boot protocol's 64-bit entry; PROT32: flat 32-bit
                                    protected mode (bzImage code32_start: rsi; PVH: rbx) */
    gpa_t tables; /* LONG64: 6 pages of guest RAM for identity page tables; both: 1 page more for a
                     GDT, at tables + 0x6000 */
};
bool x86_set_boot_state(struct cpu *cpu, const struct x86_boot_state *s,
                        struct error *err) MUST_CHECK;
/* Before the vCPU runs. An APIC ID is thread, core, die and package from bit 0 on, each in as many
 * bits as its count needs. */
void x86_set_topology(struct cpu *cpu, const struct x86_topology *t);
uint32_t x86_apic_id(const struct x86_topology *t, unsigned index);
void x86_set_a20(struct cpu *cpu, bool enabled); /* any thread; others see it a little later */
uint64_t x86_tsc(struct x86_cpu *x);
uint64_t x86_tsc_hz(const struct cpu *cpu);
