/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The static program goes without the disassembler, whose tables would double its size and cost
 * time at each start: -d in_asm and out_asm print bytes there.
 */
#ifdef RHEA_CAPSTONE
#include <capstone/capstone.h>

cs_err CAPSTONE_API cs_open(cs_arch arch, cs_mode mode, csh *handle)
{
    return CS_ERR_ARCH;
}

cs_err CAPSTONE_API cs_close(csh *handle)
{
    return CS_ERR_OK;
}

cs_err CAPSTONE_API cs_option(csh handle, cs_opt_type type, size_t value)
{
    return CS_ERR_CSH;
}

size_t CAPSTONE_API cs_disasm(csh handle, const uint8_t *code, size_t size, uint64_t at,
                              size_t count, cs_insn **insn)
{
    return 0;
}

void CAPSTONE_API cs_free(cs_insn *insn, size_t count)
{
}

cs_insn *CAPSTONE_API cs_malloc(csh handle)
{
    return NULL;
}

bool CAPSTONE_API cs_disasm_iter(csh handle, const uint8_t **code, size_t *size, uint64_t *at,
                                 cs_insn *insn)
{
    return false;
}
#endif
