"""The throw-away cluster does what a real one does, and leaves nothing behind.

What SLURM 22.05 sends to a job, as seen here, and what a launcher may build on:

- Preempted, with a grace time and `--signal=B:USR1@N`: SIGUSR1 and SIGCONT at once, to the batch shell alone. Without
  `B:`, to the processes that `srun` started, and to no others. Without `--signal`, a batch script without steps gets
  no warning at all.
- A job that ends on the warning has ended: COMPLETED or FAILED, and is not requeued, unless it says `scontrol requeue`
  of itself. One that goes on is ended and requeued after the grace time, at SLURM's next look (every 30 s): SIGCONT and
  SIGTERM to all its processes, SIGKILL after KillWait.
- At its time limit a job gets the signal of `--signal`, SIGCONT and SIGTERM. Cancelled: SIGCONT and SIGTERM alone.
- A node that fails gives no signal. The job is requeued, or ends with NODE_FAIL if it was submitted with --no-requeue.
- A requeued job starts again about 6 s later (`cred_expire`; two minutes by SLURM's default).
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm import sacct
from tests.slurm.cluster import Cluster, ClusterError, Job
from tests.slurm.configuration import Layout

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
WHOLE_NODE = ("--nodes=1", "--cpus-per-task=4")
# Tells each signal it gets, and bears it; the sleep is short, since a shell runs its traps between commands only.
STUBBORN = """
for s in TERM USR1; do trap "echo shell $s" $s; done
echo ready ${SLURM_RESTART_COUNT:-0}
while true; do sleep 0.1; done
"""
STUBBORN_STEP = f"""
export SCRIPT={shlex.quote(STUBBORN.replace("shell", "step"))}
srun --unbuffered bash -c "$SCRIPT"
"""


def submit_ready(cluster: Cluster, script: str, *sbatch_args: str) -> str:
    """Submit a job, and wait until it has said that it is ready for signals."""
    job = cluster.submit(script, *sbatch_args)
    cluster.wait(lambda: cluster.job(job).state == "RUNNING" and "ready" in cluster.output(job))
    return job


def ended(cluster: Cluster, job: str) -> Job:
    cluster.wait(lambda: cluster.job(job).ended)
    return cluster.job(job)


def signals(output: str) -> list[str]:
    """Return the signals that a stubborn job has told of, each once, in the order of their first time."""
    return list(dict.fromkeys(re.findall(r"(?:shell|step) (\w+)", output)))


@pytest.fixture(scope="module", autouse=True)
def slow_events(slurm_installed: None) -> Iterator[tuple[Cluster, str, str]]:
    """A cluster with a job whose time is over, and one that was preempted and bears the warning.

    SLURM looks at both only every 30 s: it does so while the other tests run.
    """
    with Cluster() as cluster:
        late = submit_ready(cluster, STUBBORN, *WHOLE_NODE, "--nodelist=n1", "--signal=B:USR1@60")
        preempted = submit_ready(cluster, STUBBORN, *WHOLE_NODE, "--nodelist=n2", "--signal=B:USR1@60")
        cluster.end_soon(late)
        cluster.submit("true", *WHOLE_NODE, "--nodelist=n2", "--partition=high")
        yield cluster, late, preempted


def test_a_job_runs_and_its_exit_is_seen(cluster: Cluster) -> None:
    good, bad = cluster.submit("echo to be", "--job-name=good"), cluster.submit("exit 3")
    assert [job.id for job in cluster.jobs()] == [good, bad]
    done, failed = ended(cluster, good), ended(cluster, bad)
    assert (done.name, done.state, done.exit_code, done.partition) == ("good", "COMPLETED", 0, "main")
    assert (failed.state, failed.exit_code) == ("FAILED", 3)
    assert done.node in ("n1", "n2")
    assert cluster.output(good) == "to be\n"


def test_an_array_runs_no_more_tasks_at_once_than_its_limit(cluster: Cluster) -> None:
    array = cluster.submit("date +%s.%N; sleep 0.5; date +%s.%N", "--array=0-3%2")
    tasks = [f"{array}_{index}" for index in range(4)]
    assert {job.id for job in cluster.jobs()} == set(tasks)
    cluster.wait(lambda: all(job.state == "COMPLETED" for job in cluster.jobs()))
    spans = [tuple(map(float, cluster.output(task).split())) for task in tasks]
    assert max(sum(begin <= at < end for begin, end in spans) for at, _ in spans) <= 2


def test_jobs_side_by_side_see_gpus_of_their_own(cluster: Cluster) -> None:
    script = "echo gpu:$CUDA_VISIBLE_DEVICES; sleep 1000"
    kinds = ["--gpus-per-node=1", "--gres=gpu:a100:1"]
    jobs = [cluster.submit(script, "--nodelist=n1", kind) for kind in kinds]
    none = cluster.submit(script)
    cluster.wait(lambda: all(cluster.output(job) for job in [*jobs, none]))
    assert {cluster.output(job) for job in jobs} == {"gpu:0\n", "gpu:1\n"}
    assert cluster.output(none) == "gpu:\n"


def test_gpus_that_no_node_has_are_refused(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="Requested node configuration is not available"):
        cluster.submit("true", "--gres=gpu:h200:1")


@pytest.mark.parametrize(
    ("script", "option", "told"),
    [(STUBBORN, "--signal=B:USR1@60", "shell USR1"), (STUBBORN_STEP, "--signal=USR1@60", "step USR1")],
    ids=["the batch shell", "a step"],
)
def test_a_preempted_job_is_warned_at_once_by_the_signal_it_asked_for(
    cluster: Cluster, script: str, option: str, told: str
) -> None:
    job = submit_ready(cluster, script, *WHOLE_NODE, "--nodelist=n1", option)
    cluster.submit("true", *WHOLE_NODE, "--nodelist=n1", "--partition=high")
    cluster.wait(lambda: told in cluster.output(job))
    assert cluster.job(job).state == "RUNNING"
    assert signals(cluster.output(job)) == ["USR1"]


def test_a_job_that_requeues_itself_on_the_warning_makes_way_and_starts_again(cluster: Cluster) -> None:
    polite = STUBBORN.replace("echo shell $s", "scontrol requeue $SLURM_JOB_ID; echo gone; exit 0")
    job = submit_ready(cluster, polite, *WHOLE_NODE, "--nodelist=n1", "--signal=B:USR1@60")
    other = cluster.submit("true", *WHOLE_NODE, "--nodelist=n1", "--partition=high")
    assert ended(cluster, other).state == "COMPLETED"
    assert (cluster.job(job).state, cluster.job(job).restarts) == ("PENDING", 1)
    cluster.wait(lambda: "ready 1" in cluster.output(job))
    assert cluster.output(job).splitlines().count("gone") == 1


def test_a_cancelled_job_gets_sigterm(cluster: Cluster) -> None:
    job = submit_ready(cluster, STUBBORN.replace("echo shell $s", "echo shell $s; exit 0"))
    cluster.cancel(job)
    assert ended(cluster, job).state == "CANCELLED"
    assert signals(cluster.output(job)) == ["TERM"]


def test_the_stand_in_for_sacct_answers_what_submitit_asks(cluster: Cluster) -> None:
    def states(*jobs: str) -> dict[str, str]:
        ids = [word for job in jobs for word in ("-j", job)]
        lines = cluster.client("sacct", "-o", "JobID,State,NodeList", "--parsable2", *ids).splitlines()
        assert lines[0] == "JobID|State|NodeList"
        return {line.split("|")[0]: line.split("|")[1] for line in lines[1:]}

    array = cluster.submit("sleep 60", "--array=0-1")
    bad = cluster.submit("exit 3")
    cluster.wait(lambda: cluster.job(f"{array}_0").state == "RUNNING")
    cluster.cancel(f"{array}_1")
    ended(cluster, f"{array}_1"), ended(cluster, bad)
    cancelled = f"CANCELLED by {os.getuid()}"
    assert states(array, bad) == {f"{array}_0": "RUNNING", f"{array}_1": cancelled, bad: "FAILED"}
    assert states("4000000") == {}
    assert cluster.client("sacct", "-nP", "-o", "ExitCode,NodeList", "-j", bad) == f"3:0|{cluster.job(bad).node}"
    # The controller calls a job SIGNALING for a moment, which an accounting database never does: submitit would take
    # it for the job's end.
    assert [sacct.value("state", state) for state in ("SIGNALING", "REQUEUED", "TIMEOUT")] == [
        "RUNNING", "PENDING", "TIMEOUT",
    ]  # fmt: skip
    with pytest.raises(ClusterError, match="no column maxrss"):
        cluster.client("sacct", "-P", "-o", "MaxRSS")


def test_a_failed_node_takes_its_jobs_with_it_without_a_signal(cluster: Cluster) -> None:
    requeued = submit_ready(cluster, STUBBORN, "--nodelist=n1")
    lost = submit_ready(cluster, STUBBORN, "--nodelist=n1", "--no-requeue")
    cluster.node_down("n1")
    assert cluster.nodes()["n1"].startswith("down")
    assert ended(cluster, lost).state == "NODE_FAIL"
    assert (cluster.job(requeued).state, cluster.job(requeued).restarts) == ("PENDING", 1)
    cluster.node_up("n1")
    cluster.wait(lambda: "ready 1" in cluster.output(requeued))
    assert signals(cluster.output(requeued) + cluster.output(lost)) == []


def test_a_job_runs_on_while_the_controller_is_away(cluster: Cluster) -> None:
    job = submit_ready(cluster, "echo ready; sleep 0.5; echo done")
    cluster.controller_down()
    cluster.wait(lambda: "done" in cluster.output(job))
    cluster.controller_up()
    assert ended(cluster, job).state == "COMPLETED"


def test_after_a_reset_there_are_no_jobs_and_all_nodes(cluster: Cluster) -> None:
    submit_ready(cluster, STUBBORN)
    cluster.submit("true", "--hold")
    cluster.node_down("n2")
    cluster.reset()
    assert cluster.jobs() == []
    assert cluster.nodes() == {"n1": "idle", "n2": "idle"}


def test_a_wait_in_vain_tells_the_jobs_and_the_logs(cluster: Cluster) -> None:
    cluster.submit("true", "--hold", "--job-name=yorick")
    with pytest.raises(ClusterError, match=r"(?s)in vain.*yorick.*PENDING.*JobHeldUser.*-- slurmctld"):
        cluster.wait(lambda: False, seconds=0)


def test_two_clusters_stand_side_by_side(cluster: Cluster) -> None:
    with Cluster(nodes=1, gpus="v100:1") as other:
        job = other.submit("echo $SLURMD_NODENAME", "--gres=gpu:v100:1")
        assert ended(other, job).state == "COMPLETED"
        assert cluster.jobs() == []
        assert list(other.nodes()) == ["n1"]
    assert list(cluster.nodes()) == ["n1", "n2"]


# Starts a cluster and a job that hides: a session of its own, no variables, no parent. Prints the cluster's folder and
# the ids of all processes.
HIDING = textwrap.dedent("""
    import os, signal, sys
    from tests.slurm.cluster import Cluster
    from tests.slurm.machine import descendants

    with Cluster(nodes=1) as cluster:
        job = cluster.submit("(env -i setsid sleep 1000 & echo $! $$); sleep 1000")
        words = cluster.wait(lambda: cluster.output(job).split())
        print(cluster.folder.parent, *words, *descendants(os.getpid()), flush=True)
        {then}
""")


@pytest.mark.parametrize(
    "then", ["pass", "sys.exit('Alas')", "os.kill(os.getpid(), signal.SIGKILL)"], ids=["closed", "failed", "killed"]
)
def test_nothing_is_left_however_the_cluster_s_owner_ends(slurm_installed: None, then: str) -> None:
    script = HIDING.replace("{then}", then)
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, timeout=120
    )
    folder, *processes = done.stdout.split()
    assert len(processes) > 8
    deadline = time.monotonic() + 30
    while Path(folder).exists() or any(Path("/proc", process).exists() for process in processes):
        assert time.monotonic() < deadline, f"{done.stdout} are still there"
        time.sleep(0.1)


def test_a_cluster_that_can_t_start_says_why_and_leaves_nothing(
    slurm_installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots: list[Path] = []
    write = Layout.write

    def spoilt(layout: Layout) -> None:
        write(layout)
        roots.append(layout.root)
        layout.conf.write_text(layout.conf.read_text() + "Rosencrantz=Guildenstern\n")

    monkeypatch.setattr(Layout, "write", spoilt)
    with pytest.raises(ClusterError, match=r"(?s)slurmctld ended by itself.*Rosencrantz"), Cluster():
        pass
    assert len(roots) == 1
    assert not roots[0].exists()
    assert not _processes_that_name(roots[0])


def _processes_that_name(folder: Path) -> list[str]:
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    return [command.decode() for command in commands if str(folder).encode() in command]


# The last ones, so that they seldom have to wait.


def test_a_job_whose_time_is_over_gets_its_signal_and_sigterm(slow_events: tuple[Cluster, str, str]) -> None:
    cluster, late, _ = slow_events
    job = ended(cluster, late)
    assert (job.state, job.restarts) == ("TIMEOUT", 0)
    # On a busy machine both may be waiting by the time the job gets the processor, and then either is handled first.
    assert sorted(signals(cluster.output(late))) == ["TERM", "USR1"]
    assert job.exit_code == -signal.SIGKILL


def test_a_preempted_job_that_goes_on_is_requeued_after_its_grace_time(
    slow_events: tuple[Cluster, str, str],
) -> None:
    cluster, _, preempted = slow_events
    cluster.wait(lambda: "ready 1" in cluster.output(preempted))
    before, _, after = cluster.output(preempted).partition("ready 1")
    assert sorted(signals(before)) == ["TERM", "USR1"]
    assert "DUE TO PREEMPTION" in before
    assert cluster.job(preempted).restarts == 1
