#!/bin/bash
#SBATCH --job-name=dmnet
#SBATCH --requeue
#SBATCH --open-mode=append
# sbatch SIZE-OF-THE-ALLOCATION profiles/allocation/job.sh TARGETS [--config ...]
#
# The size is for all jobs together: sbatch's options, or further #SBATCH lines of your own copy.
# Queued again (preempted, a lost node, trainings that saved before the end), it goes on.
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?call it by sbatch, from the clone}"
export DMNET_STEPS=srun
exec snakemake "$@" --profile profiles/allocation \
    --cores $((SLURM_CPUS_ON_NODE * SLURM_JOB_NUM_NODES)) \
    --resources gpu=$((${SLURM_GPUS_ON_NODE:-0} * SLURM_JOB_NUM_NODES))
