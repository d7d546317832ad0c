"""The files that configure a cluster on one computer, without systemd, control groups, or rights of any kind."""

from __future__ import annotations

import os
import pwd
import random
import secrets
import socket
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on, below those that the kernel gives to outgoing connections."""
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 1_000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"fewer than {count} ports are free between 20000 and 32000")


@dataclass(frozen=True)
class Layout:
    """What a cluster consists of, and where."""

    root: Path
    """a folder with a short name, since a unix socket's path has at most 107 characters"""
    nodes: int
    cpus: int
    """per node; they need not exist"""
    memory: int
    """per node, in MB; it need not exist"""
    gpus: str
    """per node, `type:count`; they don't exist"""
    grace: int
    """seconds from a preempted job's warning to its end"""
    ports: list[int] = field(default_factory=list)
    """of the controller and of each node"""

    @property
    def names(self) -> list[str]:
        return [f"n{i + 1}" for i in range(self.nodes)]

    @property
    def conf(self) -> Path:
        return self.root / "etc" / "slurm.conf"

    @property
    def munge_socket(self) -> Path:
        return self.root / "run" / "munge"

    @property
    def munge_key(self) -> Path:
        return self.root / "etc" / "munge.key"

    def log(self, daemon: str) -> Path:
        return self.root / "log" / f"{daemon}.log"

    def write(self) -> None:
        """Write the folders, the configuration, the key, the fake GPUs, and the stand-in for `sacct`."""
        for name in ("etc", "run", "log", "state", "bin", "gpu", "work", *(f"spool/{node}" for node in self.names)):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.munge_key.touch(mode=0o600)
        self.munge_key.write_bytes(secrets.token_bytes(128))
        # SLURM wants a device for each GPU: a link to one will do.
        for number in range(self._gpu_count):
            (self.root / "gpu" / str(number)).symlink_to("/dev/null")
        self.conf.write_text(self._slurm_conf())
        (self.root / "etc" / "gres.conf").write_text(self._gres_conf())
        sacct = self.root / "bin" / "sacct"
        script = Path(__file__).with_name("sacct.py")
        sacct.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{script}" "$@"\n')
        sacct.chmod(sacct.stat().st_mode | stat.S_IXUSR)

    @property
    def _gpu_count(self) -> int:
        return int(self.gpus.rpartition(":")[2])

    def _gres_conf(self) -> str:
        kind = self.gpus.rpartition(":")[0]
        return f"Name=gpu Type={kind} File={self.root}/gpu/[0-{self._gpu_count - 1}] Flags=nvidia_gpu_env\n"

    def _slurm_conf(self) -> str:
        user = pwd.getpwuid(os.geteuid()).pw_name
        host = socket.gethostname().partition(".")[0]
        controller, *ports = self.ports
        lines = [
            "ClusterName=tests",
            f"SlurmctldHost={host}(127.0.0.1)",
            f"SlurmctldPort={controller}",
            f"SlurmUser={user}",
            f"SlurmdUser={user}",
            "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny",
            # A requeued job waits for its credential to expire before it starts again: two minutes by default.
            f"AuthInfo=socket={self.munge_socket},cred_expire=5",
            "AuthType=auth/munge",
            "CredType=cred/munge",
            f"StateSaveLocation={self.root}/state",
            f"SlurmdSpoolDir={self.root}/spool/%n",
            f"SlurmctldPidFile={self.root}/run/slurmctld.pid",
            f"SlurmdPidFile={self.root}/run/%n.pid",
            f"SlurmctldLogFile={self.log('slurmctld')}",
            f"SlurmdLogFile={self.root}/log/%n.log",
            "MailProg=/bin/true",
            "MpiDefault=none",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            # Without control groups, a job's memory is looked at once a second.
            "JobAcctGatherType=jobacct_gather/linux",
            "JobAcctGatherFrequency=task=1",
            "JobAcctGatherParams=OverMemoryKill",
            "AccountingStorageType=accounting_storage/none",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core_Memory",
            f"DefMemPerCPU={self.memory // self.cpus}",
            "GresTypes=gpu",
            # Believe the CPUs and the memory that are written here, rather than look.
            "SlurmdParameters=config_overrides",
            "SchedulerType=sched/backfill",
            "SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0",
            "DependencyParameters=kill_invalid_depend",
            "PreemptType=preempt/partition_prio",
            "PreemptMode=REQUEUE",
            "SlurmctldParameters=preempt_send_user_signal",
            "JobRequeue=1",
            "ReturnToService=1",
            # How long an ended job is remembered: as long as any test session.
            "MinJobAge=86400",
            "KillWait=3",
            *(
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus}"
                f" RealMemory={self.memory} Gres=gpu:{self.gpus}"
                for name, port in zip(self.names, ports, strict=True)
            ),
            f"PartitionName=main Nodes=ALL Default=YES DefaultTime=10 PriorityTier=1 PreemptMode=REQUEUE"
            f" GraceTime={self.grace}",
            "PartitionName=high Nodes=ALL DefaultTime=10 PriorityTier=2 PreemptMode=OFF",
        ]
        return "\n".join(lines) + "\n"
