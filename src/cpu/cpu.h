/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A virtual CPU under translation: what guests, their helpers and the board see of it. The engine
 * itself (block cache, soft TLB, run loop) is in cpu/engine.h and private to this folder. A guest's
 * CPU structure begins with struct cpu.
 *
 * Threads: a vCPU's thread runs translated code and every guest helper; functions below are for
 * that thread unless they say "any thread".
 */
#pragma once

#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/types.h"
#include "cpu/intc.h"
#include "ir/ir.h"

struct engine; /* cpu/engine.h */
struct guest;  /* cpu/guest.h */
struct host_tlb_entry;
struct host_jump_entry;
struct loop;
struct mem;

enum cpu_access { CPU_READ, CPU_WRITE, CPU_EXEC };

enum cpu_event { /* bits of cpu->events: set by any thread, taken by the vCPU thread */
                 CPU_EVENT_INTR = 1,
                 CPU_EVENT_NMI = 2,
                 CPU_EVENT_SMI = 4,
                 CPU_EVENT_INIT = 8,
                 CPU_EVENT_SIPI = 16,
                 CPU_EVENT_STOP = 32, /* leave the run loop and wait until started again */
                 CPU_EVENT_RESET = 64,
                 CPU_EVENT_FLUSH = 128, /* memory map changed: drop the soft TLB */
                 CPU_EVENT_CODE = 256,  /* code was written by another thread: see the queue */
};

struct cpu {
    /* hot: reached by emitted code with 8-bit displacements */
    _Atomic uint32_t exit_request; /* leave at the next poll. any thread sets, vCPU clears */
    uint32_t jump_tag;             /* of jump-cache entries: mode, aux, address-space generation */
    struct host_tlb_entry *tlb;    /* table of the current address space and MMU index */
    struct host_jump_entry *jump_cache;
    uint64_t host_ra;   /* of the latest call out of emitted code; 0: not in emitted code */
    uint32_t fpcsr;     /* guest FP control and sticky flags in the host's form (MXCSR) */
    uint8_t vec_live;   /* pinned vector slots are in host registers */
    uint8_t halted;     /* waiting for an interrupt */
    uint8_t mmu_index;  /* which table set translated accesses use (guest's meaning) */
    uint8_t was_halted; /* when its events were taken: for guest->take_events */
    uint32_t mode; /* translation mode word: part of the block key; kept by cpu_mode_changed() */
    _Atomic uint32_t events; /* enum cpu_event */
    uint64_t aux;            /* second part of the block key (x86: CS base) */
    /* constant after init */
    struct engine *engine;
    const struct guest *guest;
    struct mem *mem, *ports; /* physical memory; port space or NULL */
    struct loop *loop;
    const struct cpu_intc_ops *intc; /* may be NULL */
    void *intc_ctrl;
    unsigned index;          /* number of this vCPU */
    struct cpu_accel *accel; /* what runs it, with accel_data; NULL: the engine of this folder */
    void *accel_data;
};
_Static_assert(offsetof(struct cpu, mode) <= 48, "hot fields first");

/* User mode: guest memory is this process's own (host address = gva + base). user/ fills one of
 * these for the process; all its vCPUs share it and one translation cache. */
struct cpu_user {
    uint64_t base;
    /* May code be fetched from the page of va? Cache lock held; any vCPU thread. */
    bool (*may_exec)(void *opaque, gva_t va);
    /* The page holds translated code from now on: a write to it by the guest must come to
     * cpu_code_written() before it is done (write-protect it). Cache lock held. */
    void (*watch_code)(void *opaque, gva_t page);
    /* Is the page of va guarded (PROT_BTI)? As may_exec. NULL: none is. */
    bool (*guarded)(void *opaque, gva_t va);
    void *opaque;
};

enum cpu_left {                     /* why cpu_run() came back; pc and all slots are exact */
                CPU_LEFT_SYSCALL,   /* the guest made a system call; pc is behind the instruction */
                CPU_LEFT_EXCEPTION, /* the guest's pending exception is recorded in its structure */
                CPU_LEFT_FAULT, /* a host signal hit guest code: cpu_signal_leave() was called */
                CPU_LEFT_EVENT, /* cpu_kick() */
};

struct cpu_config {
    const char *model;           /* "qemu64,+ssse3,-sse3" as in -cpu; NULL: the guest's default */
    const char *accel;           /* "tcg" or "interp" */
    struct cpu_accel *cpu_accel; /* runs the vCPU; NULL: the engine */
    struct mem *mem, *ports;
    struct mem *overlay; /* of mem: what cpu_use_overlay() shows; NULL: there is none */
    struct loop *loop;
    unsigned index;
    const struct cpu_user *user; /* user mode; mem, ports and loop are NULL then */
    struct cpu *share;           /* use this vCPU's translation cache; NULL: a new one */
    unsigned max_insns;          /* guest instructions in one block; 0: default */
    uint64_t tb_size;            /* bytes of translated code to keep; 0: default */
    /* asked for by the guest; called on the vCPU thread, machine lock not held */
    void (*on_reset)(void *opaque, const char *why); /* triple fault and the like */
    void (*on_error)(void *opaque, const char *why); /* the vCPU cannot go on: the accelerator's */
    void *opaque;
};

/* ---- life: main thread (cpu/cpu.c) ---- */
struct cpu *cpu_new(const struct guest *guest, const struct cpu_config *config, struct error *err);
void cpu_free(struct cpu *cpu); /* after cpu_stop() if it was started */
struct cpu *cpu_current(void);  /* the vCPU whose thread calls; NULL on other threads */
void cpu_attach_intc(struct cpu *cpu, const struct cpu_intc_ops *ops, void *ctrl);
struct cpu_port cpu_port(struct cpu *cpu);
uint32_t cpu_sipi_vector(const struct cpu *cpu); /* of the latest SIPI */
/* Creates the vCPU's thread, which begins to run. */
bool cpu_start(struct cpu *cpu, struct error *err) MUST_CHECK;
/* Returns when it stands still. Any thread but the vCPU's, machine lock NOT held. */
void cpu_stop(struct cpu *cpu);
void cpu_resume(struct cpu *cpu);
/* As cpu_stop() without waiting: it stands still at its next boundary until cpu_resume(). Any
 * thread, lock or not. */
void cpu_hold(struct cpu *cpu);
void cpu_request_reset(struct cpu *cpu); /* any thread: it resets itself at its next boundary */
void cpu_reset(struct cpu *cpu);         /* while it stands still */
void cpu_event_raise(struct cpu *cpu, uint32_t events); /* any thread */
void cpu_event_clear(struct cpu *cpu, uint32_t events); /* any thread */
/* After the machine was reset, or memory contents were replaced behind the CPU's back. While it
 * stands still. */
void cpu_flush_all(struct cpu *cpu);

/* ---- user mode (cpu/user.c) ---- */
/* Runs the guest on the calling thread until something is for user/. */
enum cpu_left cpu_run(struct cpu *cpu);
/* Makes cpu_run() return CPU_LEFT_EVENT soon, or at once when it is called next. Any thread, any
 * signal handler. */
void cpu_kick(struct cpu *cpu);
/* In a handler of a synchronous signal (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP) on the vCPU's
 * thread: was the guest at fault, i.e. is the host pc in emitted code or in an access of guest
 * memory made for it (helper, interpreter, translator's fetch)? */
bool cpu_signal_is_guest(const struct cpu *cpu, const void *ucontext);
/* Then: when the handler returns, the state is exact as before the instruction that faulted and
 * cpu_run() returns CPU_LEFT_FAULT; or (restart) the instruction is run again, alone, and the guest
 * goes on. Async-signal-safe; changes *ucontext. */
void cpu_signal_leave(struct cpu *cpu, void *ucontext);
void cpu_signal_restart(struct cpu *cpu, void *ucontext);
/* Guest memory [start, start + len) was or is about to be written, unmapped, mapped anew or made
 * non-executable: translations from the pages that it touches are gone when this returns. True when
 * the block that the calling vCPU runs is one of them. Any vCPU thread, and its signal handlers
 * while cpu_signal_is_guest(). */
bool cpu_code_written(struct cpu *cpu, gva_t start, uint64_t len);
/* From guest->translate: the page of va is guarded (user mode). */
bool cpu_page_guarded(struct cpu *cpu, gva_t va);
/* A second vCPU of this cache is about to run: real atomics from now on (empties the cache). */
void cpu_set_parallel(struct cpu *cpu);
bool cpu_is_parallel(const struct cpu *cpu);
/* The guest spins (PAUSE): now and then the host's processor goes to another thread. */
void cpu_spin_hint(struct cpu *cpu);
/* Between these no other vCPU of this cache runs guest code. A vCPU thread outside of cpu_run(). */
void cpu_exclusive_begin(struct cpu *cpu);
void cpu_exclusive_end(struct cpu *cpu);
/* Around fork(2), on the calling vCPU's thread: no lock is held by others at the fork; the child
 * has this vCPU alone and a copy of the translated code of its own. */
void cpu_fork_prepare(struct cpu *cpu);
void cpu_fork_parent(struct cpu *cpu);
void cpu_fork_child(struct cpu *cpu);
/* A new vCPU sharing the cache, its guest state a copy of parent's (clone). */
struct cpu *cpu_clone(struct cpu *parent, struct error *err);

/* ---- leaving translated code ---- */
/* Restores the exact state of the instruction that called and leaves to the run loop, which calls
 * guest->deliver. The guest has recorded its exception in its own structure before. */
_Noreturn void cpu_raise(struct cpu *cpu);
/* As cpu_raise, without an exception: runs the current instruction again, alone, with slow-path
 * accesses only. */
_Noreturn void cpu_restart_slow(struct cpu *cpu);
/* Leave to the run loop now, with the state as it stands (the helper has set pc): for resets, halts
 * from odd places. */
_Noreturn void cpu_leave(struct cpu *cpu);
/* Brings slots and pc in memory up to date for the helper's caller. For helpers that look at the pc
 * slot (e.g. to compute it into an error report); non-pure helpers already find all other slots in
 * memory. */
void cpu_sync_pc(struct cpu *cpu);
/* The guest's FP environment: sticky flags live in the host register while translated code or a
 * helper runs. */
uint32_t cpu_fpcsr_read(struct cpu *cpu);
void cpu_fpcsr_write(struct cpu *cpu, uint32_t mxcsr);
/* Something that guest->mode depends on changed (privilege, code size, paging on, FPU traps …):
 * recomputes mode, aux, mmu index. The translator ends the region with EXIT_LOOP after a helper
 * that may do this. */
void cpu_mode_changed(struct cpu *cpu);
/* Waits (run loop) until an event comes. Called by the guest's HLT helper; the region ends after
 * it. */
void cpu_halt(struct cpu *cpu);
/* The machine lock, for guests that call their interrupt controller (cpu->intc) from a helper. Not
 * recursive. */
void cpu_machine_lock(struct cpu *cpu);
void cpu_machine_unlock(struct cpu *cpu);
/* Physical memory is config.overlay from now on, or the ordinary one. Drops the soft TLB. */
void cpu_use_overlay(struct cpu *cpu, bool on);
bool cpu_has_overlay(const struct cpu *cpu);
/* Triple fault and the like: tells the board (config.on_reset), which resets or stops the machine a
 * little later. */
void cpu_machine_reset(struct cpu *cpu, const char *why);
/* Nanoseconds of virtual time: what the guest's TSC and timers derive from. */
int64_t cpu_now_ns(const struct cpu *cpu);

/* ---- soft TLB (cpu/tlb.c) ---- */
enum { CPU_MMU_COUNT = 4, CPU_SPACE_COUNT = 8 };
/* The address space changed to the one named `id` (x86: CR3 and PCID). keep: translations cached
 * for that id before are still valid (PCID no-flush); otherwise its non-global ones are dropped. */
void cpu_tlb_set_space(struct cpu *cpu, uint64_t id, bool keep);
void cpu_tlb_flush(struct cpu *cpu, bool global_too); /* the current space; or all spaces */
void cpu_tlb_flush_space(struct cpu *cpu, uint64_t id);
void cpu_tlb_flush_all_spaces(struct cpu *cpu);     /* everything */
void cpu_tlb_flush_page(struct cpu *cpu, gva_t va); /* INVLPG: current space and global ones */

/* ---- guest memory from helpers: raises the guest's fault. mmu: index, or cpu->mmu_index.
 * (cpu/access.c) ---- */
uint64_t cpu_load(struct cpu *cpu, gva_t va, unsigned size, unsigned mmu); /* size 1, 2, 4, 8 */
void cpu_store(struct cpu *cpu, gva_t va, uint64_t value, unsigned size, unsigned mmu);
/* All or a fault before use; stores probe all pages first. */
void cpu_load_bytes(struct cpu *cpu, gva_t va, void *buf, unsigned len, unsigned mmu);
void cpu_store_bytes(struct cpu *cpu, gva_t va, const void *buf, unsigned len, unsigned mmu);
/* Raises if [va, va+len) may not be accessed. */
void cpu_probe(struct cpu *cpu, gva_t va, unsigned len, enum cpu_access access, unsigned mmu);
/* Host pointer to va, good for *ret_len bytes to the end of its page, or NULL when it is no plain
 * RAM (device, code page on write). Raises on a fault. For string instructions. */
void *cpu_host_ptr(struct cpu *cpu, gva_t va, enum cpu_access access, unsigned mmu,
                   unsigned *ret_len);
/* After writing through such a pointer. */
void cpu_host_wrote(struct cpu *cpu, const void *host, uint64_t len);
/* 16-byte compare and swap at an aligned address: *expect is replaced by what was there; true when
 * it was swapped. For CMPXCHG16B, CASP, LDXP/STXP. */
bool cpu_cas16(struct cpu *cpu, gva_t va, uint64_t expect[2], const uint64_t want[2]);
uint64_t cpu_port_read(struct cpu *cpu, uint16_t port, unsigned size);
void cpu_port_write(struct cpu *cpu, uint16_t port, uint64_t value, unsigned size);
/* True when an interrupt or another event waits: long helpers (REP) return early so that it is
 * taken. */
static inline bool cpu_exit_pending(const struct cpu *cpu)
{
    return atomic_load_explicit(&cpu->exit_request, memory_order_relaxed) != 0;
}

/* Fetches code bytes for translation at the architectural pc: up to `want` bytes into buf, never
 * past one page end unless `cross`. Returns how many; 0 when the fetch faults (then the guest's
 * pending exception is recorded, not raised). */
unsigned cpu_fetch(struct cpu *cpu, gva_t linear, uint8_t *buf, unsigned want);
