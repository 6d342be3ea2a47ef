/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CPU models as data: names and identification as other emulators and real chips have them.
 * Features the translator does not have are listed all the same: they are taken out, with a
 * warning, when a model is made (cpuid.c).
 */
#include <stddef.h>

#include "guest/x86/models.h"

#define PPRO      "fpu de pse tsc msr mce cx8 pge cmov pat fxsr mmx sse sse2 pae sep apic "
#define I486      "fpu vme pse "
#define PENTIUM   I486 "de tsc msr mce cx8 mmx "
#define CORE2     PPRO "vme mtrr clflush mca pse36 "
#define NEHALEM   CORE2 "sse3 ssse3 cx16 sse4.1 sse4.2 popcnt syscall nx lm lahf-lm "
#define SANDY     NEHALEM "pclmulqdq x2apic tsc-deadline aes xsave avx rdtscp xsaveopt arat "
#define IVY       SANDY "f16c rdrand fsgsbase smep erms "
#define HASWELL   IVY "fma pcid movbe abm bmi1 hle avx2 bmi2 invpcid rtm "
#define BROADWELL HASWELL "rdseed adx smap 3dnowprefetch "
#define SKYLAKE   BROADWELL "xsavec xgetbv1 mpx "
#define SKYLAKE_SERVER                                                                             \
    BROADWELL                                                                                      \
    "xsavec xgetbv1 pdpe1gb clwb avx512f avx512dq avx512bw avx512cd avx512vl clflushopt pku "
#define AMD_EXT "syscall nx lm lahf-lm "
#define OPTERON_G3                                                                                 \
    CORE2 AMD_EXT "sse3 cx16 monitor popcnt rdtscp pdpe1gb svm abm sse4a misalignsse "
#define EPYC                                                                                       \
    PPRO "vme mtrr clflush mca pse36 sse3 pclmulqdq ssse3 fma cx16 sse4.1 sse4.2 movbe popcnt "    \
         "aes xsave avx f16c rdrand " AMD_EXT                                                      \
         "mmxext fxsr-opt pdpe1gb rdtscp svm cr8legacy abm sse4a misalignsse 3dnowprefetch osvw "  \
         "topoext fsgsbase bmi1 avx2 "                                                             \
         "smep bmi2 rdseed adx smap clflushopt sha-ni xsaveopt xsavec xgetbv1 xsaves arat "

const struct x86_model x86_models[] = {
    { "qemu64", "QEMU's default: a plain 64-bit processor", "AuthenticAMD", 15, 107, 1, 13,
      0x8000000a, "QEMU Virtual CPU version 2.5+",
      PPRO "mtrr clflush mca pse36 sse3 cx16 lahf-lm lm syscall nx" },
    { "qemu32", "a plain 32-bit processor", "GenuineIntel", 6, 6, 3, 4, 0x80000004,
      "QEMU Virtual CPU version 2.5+", PPRO "sse3" },
    { "kvm64", "common 64-bit processor", "GenuineIntel", 15, 6, 1, 13, 0x80000008,
      "Common KVM processor", PPRO "vme mtrr clflush mca pse36 sse3 cx16 nx syscall lm" },
    { "kvm32", "common 32-bit processor", "GenuineIntel", 15, 6, 1, 5, 0x80000008,
      "Common 32-bit KVM processor", PPRO "vme mtrr clflush mca pse36 sse3" },
    { "486", "Intel 486DX", "GenuineIntel", 4, 8, 0, 1, 0, "", I486 },
    { "pentium", "Intel Pentium MMX", "GenuineIntel", 5, 4, 3, 1, 0, "", PENTIUM },
    { "pentium2", "Intel Pentium II", "GenuineIntel", 6, 5, 2, 2, 0, "",
      PENTIUM "pae sep mtrr pge mca cmov pat pse36 fxsr" },
    { "pentium3", "Intel Pentium III", "GenuineIntel", 6, 7, 3, 3, 0, "",
      PENTIUM "pae sep mtrr pge mca cmov pat pse36 fxsr sse" },
    { "core2duo", "Intel Core 2 Duo", "GenuineIntel", 6, 15, 11, 10, 0x80000008,
      "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz",
      CORE2 "ss sse3 monitor ssse3 cx16 lm syscall nx lahf-lm" },
    { "Conroe", "Intel Celeron_4x0 (Conroe/Merom Class Core 2)", "GenuineIntel", 6, 15, 3, 10,
      0x80000008, "Intel Celeron_4x0 (Conroe/Merom Class Core 2)",
      CORE2 "sse3 ssse3 lm nx syscall lahf-lm" },
    { "Penryn", "Intel Core 2 Duo P9xxx (Penryn Class Core 2)", "GenuineIntel", 6, 23, 3, 10,
      0x80000008, "Intel Core 2 Duo P9xxx (Penryn Class Core 2)",
      CORE2 "sse3 ssse3 cx16 sse4.1 lm nx syscall lahf-lm" },
    { "Nehalem", "Intel Core i7 9xx (Nehalem Class Core i7)", "GenuineIntel", 6, 26, 3, 11,
      0x80000008, "Intel Core i7 9xx (Nehalem Class Core i7)", NEHALEM },
    { "Westmere", "Intel Westmere E56xx/L56xx/X56xx", "GenuineIntel", 6, 44, 1, 11, 0x80000008,
      "Westmere E56xx/L56xx/X56xx (Nehalem-C)", NEHALEM "aes pclmulqdq arat" },
    { "SandyBridge", "Intel Xeon E312xx (Sandy Bridge)", "GenuineIntel", 6, 42, 1, 13, 0x80000008,
      "Intel Xeon E312xx (Sandy Bridge)", SANDY },
    { "IvyBridge", "Intel Xeon E3-12xx v2 (Ivy Bridge)", "GenuineIntel", 6, 58, 9, 13, 0x80000008,
      "Intel Xeon E3-12xx v2 (Ivy Bridge)", IVY },
    { "Haswell", "Intel Core Processor (Haswell)", "GenuineIntel", 6, 60, 4, 13, 0x80000008,
      "Intel Core Processor (Haswell)", HASWELL },
    { "Broadwell", "Intel Core Processor (Broadwell)", "GenuineIntel", 6, 61, 2, 13, 0x80000008,
      "Intel Core Processor (Broadwell)", BROADWELL },
    { "Skylake-Client", "Intel Core Processor (Skylake)", "GenuineIntel", 6, 94, 3, 13, 0x80000008,
      "Intel Core Processor (Skylake)", SKYLAKE },
    { "Skylake-Server", "Intel Xeon Processor (Skylake)", "GenuineIntel", 6, 85, 4, 13, 0x80000008,
      "Intel Xeon Processor (Skylake)", SKYLAKE_SERVER },
    { "Cascadelake-Server", "Intel Xeon Processor (Cascade Lake)", "GenuineIntel", 6, 85, 6, 13,
      0x80000008, "Intel Xeon Processor (Cascadelake)",
      SKYLAKE_SERVER "avx512vnni spec-ctrl ssbd" },
    { "Icelake-Server", "Intel Xeon Processor (Ice Lake)", "GenuineIntel", 6, 134, 0, 13,
      0x80000008, "Intel Xeon Processor (Icelake)",
      SKYLAKE_SERVER "umip rdpid sha-ni gfni vaes vpclmulqdq avx512vbmi avx512vbmi2 avx512vnni "
                     "avx512bitalg avx512-vpopcntdq la57 wbnoinvd spec-ctrl ssbd fsrm" },
    { "Opteron_G3", "AMD Opteron 23xx (Gen 3 Class Opteron)", "AuthenticAMD", 16, 2, 3, 5,
      0x80000008, "AMD Opteron 23xx (Gen 3 Class Opteron)", OPTERON_G3 },
    { "EPYC", "AMD EPYC Processor", "AuthenticAMD", 23, 1, 2, 13, 0x8000001e, "AMD EPYC Processor",
      EPYC },
    { "EPYC-Rome", "AMD EPYC-Rome Processor", "AuthenticAMD", 23, 49, 0, 13, 0x8000001e,
      "AMD EPYC-Rome Processor", EPYC "clwb umip rdpid wbnoinvd clzero xsaveerptr" },
    { "EPYC-Milan", "AMD EPYC-Milan Processor", "AuthenticAMD", 25, 1, 1, 13, 0x8000001e,
      "AMD EPYC-Milan Processor",
      EPYC
      "clwb umip rdpid wbnoinvd clzero xsaveerptr invpcid pku fsrm erms pcid vaes vpclmulqdq" },
    { "max", "everything this translator has", "AuthenticAMD", 15, 107, 1, 13, 0x8000000a,
      "Rhea Virtual CPU", NULL },
    { "base", "no features: add them with +name", "AuthenticAMD", 15, 107, 1, 13, 0x8000000a,
      "Rhea Virtual CPU", "" },
    { 0 },
};
