# Before the service starts: tables, and a key with which Prometheus reads /metrics.
set -eu
modomodo db upgrade
key=$HOME/prometheus-key
if [ ! -s "$key" ]; then
    # One of a lost volume may still be in the database.
    modomodo key revoke prometheus || true
    modomodo key create prometheus --scope read > "$key.new"
    mv "$key.new" "$key"
fi
