/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arguments and translators of the instructions, as the .insn tables have them. */
#pragma once

#include "guest/arm/a64_insn.h"
