#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 1500
# A Debian of another processor is made under Rhea (debootstrap's second stage), and its bash, coreutils
# and perl work. All programs: make check-user.
set -eu
cd "$(dirname "$0")/../.."
exec tests/user/real/real.py --minbase-only
