#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""run_sqlite3.py VAULT: Debian's sqlite3 builds, sorts, indexes and writes a database."""
import pathlib
import sys
import tempfile

import vault_run

SQL = """
PRAGMA cache_size=-8000;
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, amount INTEGER, note BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000)
INSERT INTO t SELECT i, 'name ' || (i * 7919 % 10007), i * i % 1009, zeroblob(i % 90) FROM n;
CREATE INDEX by_name ON t(name, amount);
SELECT name, count(*), sum(amount) FROM t GROUP BY name ORDER BY 3 DESC, 1 LIMIT 200;
UPDATE t SET amount = amount + 1 WHERE id % 3 = 0;
SELECT sum(amount), max(name), total(length(note)) FROM t;
SELECT length(group_concat(name)) FROM t;
PRAGMA integrity_check;
"""


def main(vault):
    sqlite3 = vault_run.system_program("sqlite3")
    if not sqlite3:
        return vault_run.skip("no sqlite3")
    if vault_run.unable(vault):
        return vault_run.skip(vault_run.unable(vault))
    least = {"blocks": 20, "misses": 500, "seals": 100, "system calls": 1}
    # Its pages are 4 KiB and a little: all of them are to be sealed.
    options = ["--threshold", "4K", "--pool", "512K"]
    for name in (":memory:", "file"):
        with tempfile.TemporaryDirectory() as folder:
            database = name if name[0] == ":" else str(pathlib.Path(folder) / name)
            sql = "DROP TABLE IF EXISTS t;" + SQL
            got = vault_run.compare(vault, options, [sqlite3, database], least, input=sql.encode())
            if not got:
                return 1
    # By userfaultfd, where the machine has it.
    options += ["--memory", "private"]
    if vault_run.unable(vault, *options):
        print("not by userfaultfd:", vault_run.unable(vault, *options))
    elif not vault_run.compare(vault, options, [sqlite3, ":memory:"], least, input=SQL.encode()):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
