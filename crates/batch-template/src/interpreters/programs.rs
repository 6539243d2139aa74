//! The list of programs: [`PROGRAMS`].

use super::table::{Language, Operands, Program, StartedBy};

const NONE: Program = Program {
    names: "",
    language: Language::Other,
    code: "",
    code_long: "",
    value: "",
    value_long: "",
    attached: "",
    two_values: "",
    is_apart: false,
    operands: Operands::Data,
    permutes: false,
    reads_stdin: false,
    started_by: StartedBy::None,
};

const SHELL: Program = Program {
    language: Language::Shell,
    value: "oO",
    value_long: "rcfile init-file emulate",
    operands: Operands::Shell,
    reads_stdin: true,
    started_by: StartedBy::Any,
    ..NONE
};

/// A language whose `-e` takes code, and whose first operand is a script.
const LANGUAGE: Program = Program {
    code: "e",
    code_long: "eval",
    operands: Operands::Script,
    reads_stdin: true,
    started_by: StartedBy::Any,
    ..NONE
};

/// A client of a database.
const SQL: Program = Program {
    language: Language::Sql,
    permutes: true,
    reads_stdin: true,
    started_by: StartedBy::Wrappers,
    ..NONE
};

/// A program that starts the command after its options.
const WRAPPER: Program = Program {
    language: Language::Shell,
    operands: Operands::Command(0),
    ..NONE
};

/// All that are known. Of two with the same name the first counts.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        names: "sh bash dash ash zsh ksh mksh pdksh lksh oksh yash rbash rzsh rksh posh hush osh ysh \
            csh tcsh",
        ..SHELL
    },
    Program {
        names: "fish",
        code: "cC",
        code_long: "command init-command",
        operands: Operands::Script,
        value: "dfpD",
        value_long: "features profile debug",
        ..SHELL
    },
    Program {
        names: "nu elvish xonsh ion",
        code: "ce",
        code_long: "commands execute",
        operands: Operands::Script,
        value: "",
        value_long: "config env-config rc",
        ..SHELL
    },
    Program {
        names: "pwsh powershell",
        code: "cC",
        code_long: "command Command c C encodedcommand EncodedCommand ec e commandwithargs \
            CommandWithArgs cwa",
        value_long: "f file File ExecutionPolicy executionpolicy ep",
        operands: Operands::Program,
        ..SHELL
    },
    Program {
        names: "python pypy pythonw ipython micropython jython bpython py",
        language: Language::Python,
        code: "c",
        code_long: "cmd",
        value: "WXQm",
        value_long: "check-hash-based-pycs",
        ..LANGUAGE
    },
    Program {
        names: "perl raku rakudo",
        language: Language::Perl,
        code: "eEMm",
        value: "I",
        attached: "iFxCDV",
        ..LANGUAGE
    },
    Program {
        names: "ruby jruby truffleruby irb crystal",
        language: Language::Ruby,
        value: "rIEC",
        attached: "iFWKTx",
        ..LANGUAGE
    },
    Program {
        names: "node nodejs bun tsx ts-node qjs d8 nodemon",
        language: Language::JavaScript,
        code: "epr",
        code_long: "eval print import exec require loader experimental-loader preload",
        value: "C",
        value_long: "conditions env-file input-type watch ext",
        is_apart: true,
        ..LANGUAGE
    },
    Program {
        names: "deno",
        language: Language::JavaScript,
        operands: Operands::Subcommand,
        started_by: StartedBy::Any,
        ..NONE
    },
    Program {
        names: "rails redis-cli valkey-cli bq",
        operands: Operands::Subcommand,
        value: "hpnu",
        ..NONE
    },
    Program {
        names: "php hhvm",
        language: Language::Php,
        code: "rBRE",
        code_long: "run process-begin process-code process-end",
        value: "cdfFtSz",
        value_long: "php-ini define file process-file docroot server",
        ..LANGUAGE
    },
    Program {
        names: "lua luajit texlua luau",
        value: "l",
        ..LANGUAGE
    },
    Program {
        names: "Rscript R littler julia octave groovy scala clojure clj bb",
        code: "eEr",
        code_long: "eval print expression",
        value: "fLm",
        value_long: "file load project",
        ..LANGUAGE
    },
    Program {
        names: "osascript elixir iex ghc swift gnuplot jshell jrunscript kotlin tclsh expect racket guile",
        code: "ecr",
        code_long: "eval rpc-eval",
        value: "lS",
        value_long: "lang",
        ..LANGUAGE
    },
    Program {
        names: "emacs emacsclient erl sbcl clisp ecl matlab scilab",
        code: "erx",
        code_long: "eval execute",
        permutes: true,
        ..LANGUAGE
    },
    Program {
        names: "vim nvim vi view ex gdb lldb",
        code: "cOo",
        code_long: "cmd ex iex eval-command init-eval-command one-line one-line-before-file",
        value: "SxSp",
        value_long: "args command",
        is_apart: true,
        permutes: true,
        ..NONE
    },
    Program {
        names: "awk gawk mawk nawk original-awk goawk frawk",
        language: Language::Awk,
        code: "e",
        code_long: "source",
        value: "fFvEil",
        value_long: "file field-separator assign exec include load",
        operands: Operands::Program,
        started_by: StartedBy::Any,
        ..NONE
    },
    Program {
        names: "sed gsed ssed",
        code: "e",
        code_long: "expression",
        value: "fl",
        value_long: "file line-length",
        attached: "i",
        operands: Operands::Program,
        permutes: true,
        started_by: StartedBy::Wrappers,
        ..NONE
    },
    Program {
        names: "dc bc",
        code: "e",
        code_long: "expression",
        value: "f",
        value_long: "file",
        permutes: true,
        reads_stdin: true,
        ..NONE
    },
    Program {
        names: "jq gojq jaq yq xq",
        language: Language::Jq,
        value: "fLop",
        value_long: "from-file indent tab library-path",
        two_values: "arg argjson slurpfile rawfile argfile",
        operands: Operands::Program,
        permutes: true,
        started_by: StartedBy::Wrappers,
        ..NONE
    },
    Program {
        names: "sqlite3 sqlite duckdb",
        code: "cs",
        code_long: "cmd c s",
        value_long: "init separator newline nullvalue mmap vfs",
        operands: Operands::Code(1),
        ..SQL
    },
    Program {
        names: "psql usql",
        code: "c",
        code_long: "command",
        value: "dfhpUvoFPRTL",
        value_long: "dbname file host port username set variable output field-separator pset \
            record-separator table-attr log-file",
        ..SQL
    },
    Program {
        names: "mysql mariadb cqlsh mysqlsh",
        code: "e",
        code_long: "execute init-command init-command-add",
        value: "hPuDSkf",
        value_long: "host port user database socket default-character-set delimiter",
        attached: "p",
        ..SQL
    },
    Program {
        names: "clickhouse-client clickhouse sqlcmd trino presto",
        code: "qQ",
        code_long: "query execute",
        value: "hudPUSiom",
        value_long: "host port user password database file",
        ..SQL
    },
    Program {
        names: "mongosh mongo",
        language: Language::JavaScript,
        code_long: "eval",
        ..SQL
    },
    Program {
        names: "su runuser",
        language: Language::Shell,
        code: "c",
        code_long: "command session-command",
        value: "sgGwu",
        value_long: "shell group supp-group whitelist-environment user",
        operands: Operands::ShellOf,
        permutes: true,
        reads_stdin: true,
        started_by: StartedBy::Any,
        ..NONE
    },
    Program {
        names: "sg newgrp",
        language: Language::Shell,
        code: "c",
        operands: Operands::Code(1),
        permutes: true,
        ..NONE
    },
    Program {
        names: "script scriptlive flock vagrant lxc-execute systemd-inhibit",
        language: Language::Shell,
        code: "c",
        code_long: "command",
        value: "wEoIuds",
        value_long: "timeout wait conflict-exit-code log-out log-in echo chroot user directory shell",
        operands: Operands::Command(1),
        permutes: true,
        reads_stdin: true,
        ..NONE
    },
    Program {
        names: "ssh slogin rsh mosh",
        language: Language::RemoteShell,
        code: "o",
        value: "bBcDeEFiIJlLmOpPQRSWw",
        value_long: "ssh port server predict",
        operands: Operands::Remote,
        reads_stdin: true,
        started_by: StartedBy::Any,
        ..NONE
    },
    Program {
        names: "autossh",
        language: Language::RemoteShell,
        code: "o",
        value: "bBcDeEFiIJlLmMOpPQRSWw",
        operands: Operands::Remote,
        reads_stdin: true,
        started_by: StartedBy::Any,
        ..NONE
    },
    Program {
        names: "gcloud nix-shell npx pnpx",
        language: Language::Shell,
        code: "c",
        code_long: "command run call",
        value: "pA",
        value_long: "package zone project",
        operands: Operands::Command(0),
        ..NONE
    },
    Program {
        names: "pdsh clush dsh pssh parallel-ssh",
        language: Language::RemoteShell,
        value: "wxhHlutpof",
        operands: Operands::Code(0),
        reads_stdin: true,
        ..NONE
    },
    Program {
        names: "watch hyperfine tmux screen at batch entr concurrently",
        language: Language::Shell,
        code_long: "prepare setup cleanup conclude",
        value: "nqdwrMmfuS",
        value_long: "interval warmup runs export-json export-csv export-markdown",
        operands: Operands::Code(0),
        reads_stdin: true,
        ..NONE
    },
    Program {
        names: "parallel sem",
        language: Language::Shell,
        code_long: "tmuxpane rpl transfer-command filter",
        value: "jPSaIdNnLsE",
        value_long: "jobs max-procs sshlogin arg-file joblog results timeout retries delay",
        operands: Operands::Code(0),
        reads_stdin: true,
        started_by: StartedBy::Any,
        ..NONE
    },
    Program {
        names: "env genv",
        code: "S",
        code_long: "split-string",
        value: "uCa",
        value_long: "unset chdir argv0",
        operands: Operands::Environment,
        ..WRAPPER
    },
    Program {
        names: "xargs gxargs",
        value: "aEIdLnPs",
        value_long: "arg-file delimiter max-args max-procs max-chars process-slot-var",
        attached: "eil",
        operands: Operands::Appending,
        started_by: StartedBy::Any,
        ..WRAPPER
    },
    Program {
        names: "find gfind fd fdfind",
        operands: Operands::Find,
        ..WRAPPER
    },
    Program {
        names: "make gmake just ninja",
        code: "E",
        code_long: "eval",
        value: "CfIjloW",
        value_long: "directory file makefile include-dir jobs load-average old-file",
        operands: Operands::Assignments,
        permutes: true,
        ..NONE
    },
    Program {
        names: "git",
        language: Language::Shell,
        code: "c",
        code_long: "exec-path config-env",
        value: "C",
        value_long: "git-dir work-tree namespace",
        operands: Operands::Git,
        ..NONE
    },
    Program {
        names: "scp sftp sshfs ssh-copy-id",
        language: Language::RemoteShell,
        code: "o",
        permutes: true,
        ..NONE
    },
    Program {
        names: "capsh",
        language: Language::Shell,
        operands: Operands::ShellAfterDashes,
        ..NONE
    },
    Program {
        names: "ed red",
        language: Language::Shell,
        operands: Operands::Bang,
        permutes: true,
        reads_stdin: true,
        ..NONE
    },
    Program {
        names: "debugfs",
        code: "R",
        permutes: true,
        ..NONE
    },
    Program {
        names: "split gsplit csplit",
        language: Language::Shell,
        code_long: "filter",
        permutes: true,
        ..NONE
    },
    Program {
        names: "npm",
        language: Language::Shell,
        code: "c",
        code_long: "call",
        permutes: true,
        operands: Operands::Command(1),
        ..NONE
    },
    Program {
        names: "unshare nsenter fakeroot sg newgrp",
        reads_stdin: true,
        ..WRAPPER
    },
    Program {
        names: "chroot setarch",
        operands: Operands::Command(1),
        reads_stdin: true,
        ..WRAPPER
    },
    Program {
        names: "rsync",
        language: Language::Shell,
        code: "e",
        code_long: "rsh rsync-path",
        value: "fTBM",
        permutes: true,
        ..NONE
    },
    Program {
        names: "zip sort gsort",
        language: Language::Shell,
        code_long: "compress-program unzip-command",
        permutes: true,
        ..NONE
    },
    Program {
        names: "tar gtar bsdtar",
        language: Language::Shell,
        code: "IF",
        code_long: "checkpoint-action to-command use-compress-program info-script new-volume-script \
            rsh-command rmt-command",
        value: "fCTXbKNLVgHkStBM",
        value_long: "file directory files-from exclude exclude-from include",
        permutes: true,
        ..NONE
    },
    Program {
        names: "ansible",
        language: Language::RemoteShell,
        code: "ae",
        code_long: "args extra-vars",
        value: "imuflt",
        permutes: true,
        ..NONE
    },
    Program {
        names: "ncat nc netcat",
        language: Language::Shell,
        code: "ce",
        code_long: "sh-exec exec",
        value: "psw",
        permutes: true,
        ..NONE
    },
    Program {
        names: "socat",
        language: Language::Shell,
        operands: Operands::Code(0),
        ..NONE
    },
    Program {
        names: "nice gnice",
        value: "n",
        value_long: "adjustment",
        ..WRAPPER
    },
    Program {
        names: "timeout gtimeout",
        value: "ks",
        value_long: "kill-after signal",
        operands: Operands::Command(1),
        ..WRAPPER
    },
    Program {
        names: "schroot",
        value: "cnuds",
        value_long: "chroot user directory shell",
        ..WRAPPER
    },
    Program {
        names: "sudo doas pkexec gosu su-exec setpriv",
        value: "uCgpUrtTRDh",
        value_long: "user group prompt close-from chdir chroot host reuid regid",
        operands: Operands::Environment,
        reads_stdin: true,
        ..WRAPPER
    },
    Program {
        names: "stdbuf gstdbuf",
        value: "ioe",
        value_long: "input output error",
        ..WRAPPER
    },
    Program {
        names: "time gtime",
        value: "fo",
        value_long: "format output",
        ..WRAPPER
    },
    Program {
        names: "ionice chrt taskset numactl",
        value: "cnpuTPD",
        value_long: "class classdata pid sched-runtime sched-period sched-deadline",
        ..WRAPPER
    },
    Program {
        names: "nohup setsid exec command builtin noglob nocorrect busybox toybox unbuffer catchsegv \
            caffeinate xvfb-run dbus-run-session strace ltrace valgrind perf firejail bwrap proot systemd-run docker podman nerdctl kubectl lxc \
            incus sshpass chpst linux64 chronic rlwrap tini dumb-init torsocks \
            proxychains uv pipenv poetry conda nix bundle srun mpirun mpiexec \
            prlimit faketime",
        ..WRAPPER
    },
    Program {
        names: "printf print",
        language: Language::Shell,
        code: "v",
        ..NONE
    },
];
