"""Attempts to reach what is outside: files, environments, addresses, sockets, processes, memory."""

from tests.agents.code.escape.case import python

CASES = [
    python(
        "01 files of the host",
        """
        reads = ["/etc/shadow", "/etc/hostname", input["file"], "/proc/1/root" + input["file"],
                 "/proc/self/root/../.." + input["file"], "/box/../../.." + input["file"],
                 os.path.expanduser("~root") + "/.bashrc"]
        for path in reads:
            tried(path, lambda: open(path).read())
        tried("accounts", lambda: open("/etc/passwd").read().count("\\n") > 1 or 1 / 0)
        """,
    ),
    python(
        "02 environments",
        """
        import glob
        def environments():
            yield "".join(f"{name}={value}" for name, value in os.environ.items())
            for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/task/*/environ"):
                try:
                    yield open(path, "rb").read().decode("latin-1")
                except OSError:
                    continue
        escaped.extend(text for text in environments() if "PLANTED" in text)
        """,
    ),
    python(
        "03 a service on the host's loopback",
        """
        import socket
        def connect(family, address):
            with socket.socket(family) as client:
                client.settimeout(2)
                client.connect((address, input["port"]))
        tried("IPv4", lambda: connect(socket.AF_INET, "127.0.0.1"))
        tried("IPv6", lambda: connect(socket.AF_INET6, "::1"))
        """,
    ),
    python(
        "04 other addresses",
        """
        import socket
        for address in ("169.254.169.254", "10.0.0.1", "1.1.1.1"):
            tried(address, lambda: socket.create_connection((address, 80), 1))
        with_datagram = lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("169.254.169.254", 53))
        tried("datagram", with_datagram)
        tried("interfaces", lambda: [name for _, name in socket.if_nameindex() if name != "lo"][0])
        """,
    ),
    python(
        "05 Unix sockets of the host, by path and by name",
        """
        import socket
        def connect(address, kind=socket.SOCK_STREAM):
            with socket.socket(socket.AF_UNIX, kind) as client:
                client.settimeout(2)
                client.connect(address)
        for address in (input["path"], "\\0" + input["name"], "/var/run/docker.sock", "/run/dbus/system_bus_socket"):
            tried(address, lambda: connect(address))
        def by_pair(address):
            ours, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            ours.sendto(b"x", address)
        for address in (input["datagrams"], "\\0" + input["name"], "/dev/log"):
            tried("a pair to " + address, lambda: by_pair(address))
        """,
    ),
    python(
        "06 raw, packet, vsock, crypto and netlink sockets",
        """
        import socket
        kinds = [(17, 3), (2, 3), (40, 1), (38, 5), (16, 3), (30, 5), (44, 3)]
        for family, kind in kinds:
            tried(f"family {family}", lambda: socket.socket(family, kind, 1 if family == 2 else 0))
        """,
    ),
    python(
        "17 writing outside of the work folder",
        """
        folders = ["/", "/usr", "/etc", "/bin", "/lib", "/sys", "/harness", sys.prefix, input["folder"]]
        paths = [folder + "/" + input["name"] for folder in folders]
        paths += ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/self/uid_map", input["file"]]
        for path in paths:
            tried(path, lambda: open(path, "w").write("x"))
        tried("the interpreter", lambda: os.unlink(os.path.realpath(sys.executable)))
        tried("less likely to be killed", lambda: open("/proc/self/oom_score_adj", "w").write("-1000"))
        """,
    ),
    python(
        "18 links, renames and rights",
        """
        for target in ("/etc/shadow", input["file"]):
            def by_link():
                os.symlink(target, "link")
                try:
                    return open("link").read()
                finally:
                    os.unlink("link")
            tried("link to " + target, by_link)
            tried("hard link", lambda: os.link(target, "hard"))
            tried("rename", lambda: os.rename(target, "renamed"))
            tried("truncate", lambda: os.truncate(target, 0))
            tried("chmod", lambda: os.chmod(target, 0o777))
            tried("chown", lambda: os.chown(target, os.getuid(), -1))
            tried("utime", lambda: os.utime(target, (0, 0)))
            tried("setxattr", lambda: os.setxattr(target, "user.x", b"x"))
        """,
    ),
    python(
        "20 signals to others",
        """
        import signal
        for pid in (input["victim"], input["worker"]):
            tried(f"kill {pid}", lambda: os.kill(pid, signal.SIGKILL if pid == input["victim"] else 0))
            tried(f"pidfd {pid}", lambda: signal.pidfd_send_signal(os.pidfd_open(pid), 0))
        """,
    ),
    python(
        "21 what /proc shows",
        """
        try:
            pids = [pid for pid in os.listdir("/proc") if pid.isdecimal()]
        except OSError:
            pids = []
        escaped.extend(pid for pid in pids if pid in (str(input["worker"]), str(input["victim"])))
        for name in ("kcore", "kallsyms", "kmsg", "cmdline", "modules", "net/tcp", "config.gz", "1/maps",
                     f"{input['worker']}/cmdline", "sys/kernel/random/boot_id"):
            tried(name, lambda: open("/proc/" + name, "rb").read(1) or 1 / 0)
        """,
    ),
    python(
        "25 inherited descriptors",
        """
        for number in range(3, 1024):
            try:
                os.fstat(number)
            except OSError:
                continue
            if number != 3:
                escaped.append(number)
        """,
    ),
    python(
        "36 memory of the process that started it",
        """
        import gc, hashlib, re
        tried("main", lambda: sys.modules["__main__"].PLANTED)
        for each in gc.get_objects():
            if isinstance(each, dict) and ("PLANTED" in each or b"PLANTED" in each):
                escaped.append("an environment")
        escaped.extend(name for name in sys.modules if name.split(".")[0] in ("agents", "platform_api", "flows"))
        try:
            maps = open("/proc/self/maps").read().splitlines()
        except OSError:
            maps = []
        looks_like = re.compile(rb"plant-[0-9a-f]{32}")
        for line in maps:
            span, rights = line.split()[:2]
            first, last = (int(each, 16) for each in span.split("-"))
            if "r" not in rights or last - first > 32 << 20:
                continue
            try:
                with open("/proc/self/mem", "rb", 0) as memory:
                    memory.seek(first)
                    found = looks_like.findall(memory.read(last - first))
            except (OSError, ValueError, OverflowError):
                continue
            escaped.extend("secret" for each in found if hashlib.sha256(each).hexdigest() == input["digest"])
        """,
    ),
]
