#!/usr/bin/env bash
# A whole Slurm for the tests on one machine: two nodes, accounting, four partitions. Needs the packages of Debian or
# Ubuntu and root. All of it (settings, keys, database, spool, logs) lies in $ISOFLOP_SLURM, on ports of its own, so it
# runs beside any other Slurm; what follows reaches it by SLURM_CONF, which `up` prints.
#
#   eval "$(tests/slurm/one_node.sh up)"     start it, or find it started; --install fetches missing packages first
#   tests/slurm/one_node.sh status           sinfo of it; status 1 where it does not answer
#   tests/slurm/one_node.sh down [--wipe]    stop it; --wipe also deletes the folder
#
# Where it cannot be had, another Slurm that answers is used as it is; without one: one line, status 3.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

home=${ISOFLOP_SLURM:-/tmp/isoflop-slurm-$(id -u)}
packages=(slurm-wlm slurmdbd munge mariadb-server)
programs=(slurmctld slurmd slurmdbd munged mariadbd mariadb-install-db)
nodes=(one two)
conf=$home/etc/slurm.conf
database=$home/run/mariadb.socket
# Another folder, other ports: the controller's, the accounting's, then one a node.
port=$((20000 + $(cksum <<<"$home" | cut -d' ' -f1) % 1000 * 10))

say() { echo "one_node.sh: $*" >&2; }
give_up() { say "$1"; exit "${2:-1}"; }

ours() { SLURM_CONF=$conf "$@"; }
query() { MYSQL_UNIX_PORT=$database mariadb --no-defaults --user="$(id -un)" "$@"; }
answers() { [[ -f $conf && $(ours timeout 5 sinfo -h -o %T 2>/dev/null) =~ idle|mix|alloc|drain ]]; }
all_nodes_answer() { ! ours sinfo -h -N -o %T | grep -qvE '^(idle|mixed|allocated|drained|draining)$'; }

within() { # within SECONDS COMMAND...: until it succeeds
  local deadline=$((SECONDS + $1)); shift
  local said
  until said=$("$@" 2>&1); do
    ((SECONDS < deadline)) || give_up "gave up waiting for: $*: ${said//$'\n'/ } (logs in $home/log)"
    sleep 0.1
  done
}

missing() {
  local program
  for program in "${programs[@]}"; do command -v "$program" >/dev/null || { echo "$program"; return; }; done
}

write_settings() {
  local cpus memory i
  cpus=$(($(nproc) / ${#nodes[@]})); ((cpus >= 2)) || cpus=2
  memory=$(awk -v n=${#nodes[@]} '/MemTotal/ {print int($2 / 1024 / n)}' /proc/meminfo)
  {
    echo "ClusterName=isoflop_tests"
    echo "SlurmctldHost=$(hostname)(127.0.0.1)"
    echo "SlurmctldPort=$port"
    echo "SlurmUser=$(id -un)"
    echo "SlurmdUser=$(id -un)"
    echo "AuthType=auth/munge"
    # A requeued job may begin again only after cred_expire seconds (by default 120).
    echo "AuthInfo=socket=$home/run/munge.socket,cred_expire=10"
    echo "StateSaveLocation=$home/state"
    echo "SlurmdSpoolDir=$home/spool/%n"
    echo "SlurmctldPidFile=$home/run/slurmctld.pid"
    echo "SlurmdPidFile=$home/run/slurmd.%n.pid"
    echo "SlurmctldLogFile=$home/log/slurmctld.log"
    echo "SlurmdLogFile=$home/log/slurmd.%n.log"
    echo "ProctrackType=proctrack/linuxproc"
    echo "TaskPlugin=task/none"
    echo "MpiDefault=none"
    echo "SelectType=select/cons_tres"
    echo "SelectTypeParameters=CR_Core"
    echo "SlurmdParameters=config_overrides" # the nodes may claim more cores than the machine has
    echo "SchedulerType=sched/backfill"
    echo "SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,preempt_send_user_signal"
    echo "JobRequeue=1"
    echo "KillWait=5"
    echo "SlurmdTimeout=10"
    echo "ReturnToService=2"
    echo "PreemptType=preempt/partition_prio"
    echo "PreemptMode=REQUEUE"
    echo "AccountingStorageType=accounting_storage/slurmdbd"
    echo "AccountingStorageHost=localhost"
    echo "AccountingStoragePort=$((port + 1))"
    echo "AccountingStoragePass=$home/run/munge.socket"
    echo "JobAcctGatherType=jobacct_gather/linux"
    for i in "${!nodes[@]}"; do
      echo "NodeName=${nodes[i]} NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=$((port + 2 + i)) CPUs=$cpus RealMemory=$memory"
    done
    # LLN: tasks go to the emptier node, so that a fault of one node leaves some of them alone.
    echo "PartitionName=main Nodes=ALL Default=YES LLN=YES PriorityTier=1 GraceTime=5"
    echo "PartitionName=short Nodes=ALL MaxTime=2 LLN=YES PriorityTier=1"
    echo "PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF"
    echo "PartitionName=closed Nodes=ALL State=DOWN"
  } >"$conf"
  (umask 077; cat >"$home/etc/slurmdbd.conf" <<SETTINGS
AuthType=auth/munge
AuthInfo=socket=$home/run/munge.socket
DbdHost=localhost
DbdPort=$((port + 1))
SlurmUser=$(id -un)
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=$(id -un)
StorageLoc=slurm
LogFile=$home/log/slurmdbd.log
PidFile=$home/run/slurmdbd.pid
SETTINGS
  )
}

start_munge() {
  local key=$home/etc/munge.key
  [[ -f $key ]] || (umask 077; head -c 128 /dev/urandom >"$key")
  munge -n -S "$home/run/munge.socket" >/dev/null 2>&1 && return
  munged --force --key-file="$key" --socket="$home/run/munge.socket" --pid-file="$home/run/munged.pid" \
    --log-file="$home/log/munged.log" --seed-file="$home/state/munge.seed" >/dev/null 2>&1
  within 10 munge -n -S "$home/run/munge.socket"
}

start_database() {
  query -e 'SELECT 1' >/dev/null 2>&1 && return
  local as=(--no-defaults --user="$(id -un)" --datadir="$home/database")
  [[ -d $home/database/mysql ]] || mariadb-install-db "${as[@]}" --auth-root-authentication-method=socket \
    --auth-root-socket-user="$(id -un)" --skip-test-db >"$home/log/mariadb.log" 2>&1
  setsid mariadbd "${as[@]}" --socket="$database" --skip-networking --pid-file="$home/run/mariadb.pid" \
    --innodb-buffer-pool-size=64M --innodb-flush-log-at-trx-commit=0 </dev/null >>"$home/log/mariadb.log" 2>&1 &
  within 30 query -e 'CREATE DATABASE IF NOT EXISTS slurm'
}

start_slurm() {
  local node
  export MYSQL_UNIX_PORT=$database
  [[ -e $home/run/slurmdbd.pid ]] && kill -0 "$(<"$home/run/slurmdbd.pid")" 2>/dev/null || ours slurmdbd
  within 30 ours sacctmgr -n list cluster
  [[ $(ours sacctmgr -n -P list cluster format=cluster) == *isoflop_tests* ]] ||
    ours sacctmgr -i add cluster isoflop_tests >/dev/null
  ours slurmctld -f "$conf"
  within 30 ours sinfo
  for node in "${nodes[@]}"; do
    mkdir -p "$home/spool/$node"
    ours slurmd -f "$conf" -N "$node"
  done
  within 30 all_nodes_answer
}

up() {
  if ! answers; then
    [[ ${1:-} == --install && -n $(missing) ]] &&
      { DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >&2
    local why=
    [[ $(id -u) == 0 ]] || why="starting Slurm needs root"
    [[ -z $(missing) ]] || why="$(missing) is not installed (apt-get install ${packages[*]})"
    if [[ -n $why ]]; then
      timeout 10 sinfo -h >/dev/null 2>&1 || give_up "no Slurm here: $why" 3
      say "$why; using the Slurm that answers"
      return
    fi
    down
    mkdir -p "$home"/{etc,run,log,state,spool,database}
    chmod 755 "$home" "$home/run"
    write_settings
    start_munge
    start_database
    start_slurm
  fi
  echo "export SLURM_CONF=$conf"
}

down() {
  if answers; then
    ours scancel --full --signal=KILL --state=RUNNING || true
    ours scancel --state=PENDING || true
    for _ in $(seq 50); do [[ -n $(ours squeue -h) ]] || break; sleep 0.1; done
  fi
  local files=("$home"/run/*.pid) pids=() file pid
  for file in "${files[@]}"; do
    # A number that another program has by now is not ours to end.
    [[ -f $file ]] && read -r pid <"$file" && [[ $(cat "/proc/$pid/comm" 2>/dev/null) =~ ^(slurm|munge|mariadb) ]] &&
      pids+=("$pid")
  done
  ((${#pids[@]} == 0)) || kill "${pids[@]}"
  for pid in "${pids[@]}"; do
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || continue 2; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
  done
  rm -f "${files[@]}"
  [[ ${1:-} != --wipe ]] || rm -rf "$home"
}

case ${1:-} in
  up) up "${2:-}" ;;
  down) down "${2:-}" ;;
  status) answers && ours sinfo -N ;;
  *) give_up "usage: one_node.sh up [--install] | status | down [--wipe]" 2 ;;
esac
