"""A Docker engine for one test, with a base image made here: no registry is needed, and nothing of it is left.

If one runs already, that is taken instead. The base image is Debian as debootstrap makes it from the mirror and with the settings
that this machine's own apt has; it is kept in the build directory.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile

from process import Process, wait_until
from stack import BUILD, TOP

RELEASE = "bookworm"
BASE = "parley-test-base"
# As in the official slim image: no documents, and nothing kept of what apt fetches.
SLIM = {
    "etc/dpkg/dpkg.cfg.d/slim": "".join(f"path-exclude /usr/share/{name}/*\n" for name in ("doc", "info", "locale", "man")),
    "etc/apt/apt.conf.d/slim": 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };\n'
                               'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n',
}


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def missing():
    """Why no engine can run here, or None."""
    for program in ("docker", "docker-compose", "debootstrap", "apt-get"):
        if not find(program):
            return f"{program} is not installed"
    if running_engine():
        return None
    if os.geteuid() != 0:
        return "starting a Docker engine takes root"
    if not find("dockerd"):
        return "dockerd is not installed"
    return None


def running_engine():
    done = subprocess.run([find("docker"), "info", "--format", "{{.ServerVersion}}"], capture_output=True, check=False)
    return done.returncode == 0


def run(*argv, **options):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(argv)}: {(done.stdout + done.stderr)[-3000:]}"
    return done.stdout


# ---- The base image

def apt_sources():
    """This machine's Debian sources, one line each."""
    template = "$(SITE) $(RELEASE) $(COMPONENT)"
    lines = run("apt-get", "indextargets", "--format", template, "Created-By: Packages").splitlines()
    return sorted({f"deb {line}" for line in lines if line.split()[1].startswith(RELEASE) and line.split()[2] == "main"})


def make_base(path):
    """Debian's smallest system as a tar file."""
    sources = apt_sources()
    site = next(line.split()[1] for line in sources if line.split()[2] == RELEASE)
    root = tempfile.mkdtemp(prefix="parley-base-", dir=os.path.dirname(path))
    try:
        extra = ["--include=ca-certificates"] if any("https:" in line for line in sources) else []
        run(find("debootstrap"), "--variant=minbase", *extra, RELEASE, root, site)
        acquire = "\n".join(re.findall(r"^Acquire::.*;$", run("apt-config", "dump", "Acquire"), re.M))
        files = {"etc/apt/sources.list": "\n".join(sources) + "\n", "etc/apt/apt.conf.d/50here": acquire + "\n", **SLIM}
        for name, text in files.items():
            with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                file.write(text)
        for name in ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "var/cache/apt",
                     "var/lib/apt/lists"):
            run("find", os.path.join(root, name), "-mindepth", "1", "-delete")
        os.makedirs(os.path.join(root, "var/cache/apt/archives/partial"))
        os.makedirs(os.path.join(root, "var/lib/apt/lists/partial"))
        run("tar", "-C", root, "-cf", path + ".new", ".")
        os.rename(path + ".new", path)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def base_archive():
    directory = os.path.join(BUILD, "deploy-base")
    path = os.path.join(directory, f"{RELEASE}.tar")
    if not os.path.exists(path):
        os.makedirs(directory, exist_ok=True)
        make_base(path)
    return path


# ---- The engine

class Daemon(Process):
    """dockerd in a directory of its own. It is told to end when the test ends, however that does: killed, it would leave its
    containers."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="parley-docker-")
        self.host = f"unix://{self.directory}/docker.sock"
        argv = [find("dockerd"), "--host", self.host, "--data-root", f"{self.directory}/data", "--exec-root",
                f"{self.directory}/exec", "--pidfile", f"{self.directory}/pid", "--bridge", "none", "--shutdown-timeout", "10"]
        super().__init__("dockerd", argv, dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"),
                         f"{self.directory}/log")

    def start(self):
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *self.argv], env=self.environment,
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def end(self):
        if self.running:
            self.stop(60)
        with open("/proc/mounts", encoding="utf-8") as mounts:
            left = [line.split()[1] for line in mounts if line.split()[1].startswith(self.directory + "/")]
        for path in reversed(left):
            run("umount", "--lazy", path)
        shutil.rmtree(self.directory)


class Forwarding:
    """What dockerd changes on this machine, put back as it was: the packet filter, and whether packets are forwarded."""

    SWITCH = "/proc/sys/net/ipv4/ip_forward"

    def __init__(self):
        self.rules = run(find("iptables-save"))
        with open(self.SWITCH, encoding="ascii") as switch:
            self.forwards = switch.read()

    def restore(self):
        # A table that was empty is not in the list.
        empty = "".join(f"*{table}\nCOMMIT\n" for table in ("filter", "nat") if f"*{table}\n" not in self.rules)
        run(find("iptables-restore"), input=empty + self.rules)
        if "*filter\n" in empty:
            run(find("iptables"), "--policy", "FORWARD", "ACCEPT")
        with open(self.SWITCH, "w", encoding="ascii") as switch:
            switch.write(self.forwards)


class Engine:
    def __init__(self):
        self.daemon = None
        self.forwarding = None
        self.environment = dict(os.environ)

    def __enter__(self):
        try:
            if not running_engine():
                self._start()
            self.docker("import", base_archive(), BASE)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.daemon:
            self.daemon.end()
            self.forwarding.restore()

    def _start(self):
        self.forwarding = Forwarding()
        self.daemon = Daemon()
        self.daemon.start()
        self.environment["DOCKER_HOST"] = self.daemon.host
        wait_until(self._answers, 60, "dockerd")

    def _answers(self):
        assert self.daemon.running, self.daemon.log_tail()
        return subprocess.run([find("docker"), "info"], env=self.environment, capture_output=True, check=False).returncode == 0

    def docker(self, *arguments):
        return run(find("docker"), *arguments, env=self.environment)

    def inspect(self, name):
        return json.loads(self.docker("inspect", name))[0]


def clean_clone(directory):
    """The tree as it is committed."""
    run("git", "-c", "safe.directory=*", "clone", "--quiet", TOP, directory)
    return directory
