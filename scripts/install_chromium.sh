#!/bin/sh
# Brings the browser that tests/test_listening_browser.py drives; without it those tests are skipped.
set -eu

if command -v chromium >/dev/null 2>&1; then
    echo "chromium is there: $(command -v chromium)"
    exit 0
fi
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update
    apt-get install -y --no-install-recommends chromium
    exit 0
fi
cat >&2 <<'TEXT'
chromium is not installed, and this script can install it only as root on Debian or Ubuntu.
Install it by hand and run the tests again:
    Debian, Ubuntu   sudo apt-get install chromium
    Fedora           sudo dnf install chromium
    Arch             sudo pacman -S chromium
    others           set DRUMMIX_CHROMIUM=/path/to/chrome or chromium
TEXT
exit 1
