#!/bin/bash
# Train on two machines of four GPUs each:  sbatch examples/clusters/slurm.sh
# The folder of the runs must be one that all machines see.
#SBATCH --job-name=seqdiff
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --signal=INT@120

set -euo pipefail

export OMP_NUM_THREADS=4
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# --max-restarts: a lost process is started again, with all others, from the last checkpoint.
# --resume: so does the same job that is submitted again after its time is over.
srun torchrun \
    --nnodes="$SLURM_NNODES" \
    --nproc-per-node=gpu \
    --rdzv-id="$SLURM_JOB_ID" \
    --rdzv-backend=c10d \
    --rdzv-endpoint="$first:29500" \
    --max-restarts=3 \
    -m seqdiff fit sequences.fasta.gz --savepath runs --model-name mine --batch-size 4096 --resume
