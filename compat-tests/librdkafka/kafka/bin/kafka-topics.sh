#!/usr/bin/env bash
# What librdkafka's tests ask of Kafka's own tool, done by the client under compat-tests/python.
set -euo pipefail
action='' bootstrap='' topic='' partitions=1 configs=()
while (($#)); do
    case $1 in
        --create | --delete) action=${1#--} ;;
        --bootstrap-server) bootstrap=$2 && shift ;;
        --topic) topic=$2 && shift ;;
        --partitions) partitions=$2 && shift ;;
        --replication-factor) shift ;;
        --config) configs+=("$2") && shift ;;
        *) echo "kafka-topics.sh: not understood: $1" >&2 && exit 2 ;;
    esac
    shift
done
program=$(dirname "$0")/../../../python/confluent_client.py
arguments=("$bootstrap" "$topic")
[[ $action == create ]] && arguments+=("$partitions" "${configs[@]}")
exec "$THALWEG_CACHE/venvs/harness/bin/python" "$program" "$action" "${arguments[@]}"
