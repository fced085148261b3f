# SPDX-License-Identifier: Apache-2.0
"""A Slurm cluster of two nodes on this machine, in a folder of its own, for tests: munged, slurmctld and two slurmd.

Needs root and Debian's slurm-wlm and munge; is_possible() says whether they are there.
"""
import os
import pathlib
import shutil
import socket
import subprocess
import time

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
os.environ["PATH"] += ":/usr/sbin"

CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
ReturnToService=2
KillWait=5
MailProg=/bin/true
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=2000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=2000
PartitionName=high Nodes=n1,n2 MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
PartitionName=low Nodes=n1,n2 Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
"""


def is_possible():
    return os.geteuid() == 0 and all(map(shutil.which, PROGRAMS))


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    """Up for as long as the `with` lasts. Its folder should be short: sockets have paths of at most 107 bytes."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.daemons = []
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "OMPI_", "PMIX_"))}
        self.environment["SLURM_CONF"] = str(self.folder / "slurm.conf")
        # Nodes share one machine: shared memory between them would be found, with other names.
        self.environment["OMPI_MCA_btl"] = "self,tcp"
        self.environment["OMPI_MCA_btl_tcp_if_include"] = "lo"

    def __enter__(self):
        folder = self.folder
        folder.chmod(0o755)
        (folder / "state").mkdir()
        (folder / "key").write_bytes(os.urandom(128))
        (folder / "key").chmod(0o400)
        (folder / "slurm.conf").write_text(CONFIGURATION.format(folder=folder, ports=free_ports(3)), encoding="utf-8")
        try:
            self.start("munged", "--foreground", "--force", f"--key-file={folder}/key", f"--socket={folder}/munge.socket",
                       f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log", f"--seed-file={folder}/seed")
            self.wait(lambda: (folder / "munge.socket").exists(), "munged")
            self.start("slurmctld", "-D")
            for node in ("n1", "n2"):
                own = folder / f"etc-{node}"  # of two nodes on one machine each has its own folder for PMIx
                (folder / f"pmix-{node}").mkdir()
                (folder / f"spool-{node}").mkdir()
                own.mkdir()
                (own / "slurm.conf").symlink_to(folder / "slurm.conf")
                (own / "mpi.conf").write_text(f"PMIxCliTmpDirBase={folder}/pmix-{node}\n", encoding="utf-8")
                self.start("slurmd", "-D", "-f", own / "slurm.conf", "-N", node)
            self.wait(lambda: self.call("sinfo", "-h", "-p", "low", "-t", "idle", "-o", "%D").stdout.strip() == "2", "two idle nodes")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.call("scancel", "--full", "--user=root")
        time.sleep(1)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def start(self, *words):
        log = open(self.folder / "daemons.log", "ab")
        self.daemons.append(subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             env=self.environment, start_new_session=True))

    @staticmethod
    def wait(condition, what, limit_s=30):
        end = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"no {what} within {limit_s} s")
            time.sleep(0.1)

    def call(self, *words, cwd=None, **environment):
        return subprocess.run(list(map(str, words)), capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=cwd, check=False,
                              env={**self.environment, **environment})

    def submit(self, *words, cwd, **environment):
        """sbatch; returns the job's number. Its log is job-NUMBER.log in cwd."""
        done = self.call("sbatch", "--parsable", f"--output={cwd}/job-%j.log", *words, cwd=cwd, **environment)
        if done.returncode != 0:
            raise RuntimeError(f"sbatch failed: {done.stderr}")
        return done.stdout.strip()

    def field(self, job, name):
        """A field of `scontrol show job`, such as JobState, ExitCode, Restarts."""
        for word in self.call("scontrol", "show", "job", job).stdout.split():
            if word.startswith(name + "="):
                return word.partition("=")[2]
        return None

    def finish(self, job, limit_s=120):
        """Waits for the job's end; returns its state and exit code."""
        ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE")
        self.wait(lambda: self.field(job, "JobState") in ended, f"end of job {job}", limit_s)
        return self.field(job, "JobState"), int(self.field(job, "ExitCode").partition(":")[0])
