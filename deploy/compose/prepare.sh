# Before the service starts: tables, and the keys of those that call it from in here.
set -eu
modomodo db upgrade

# NAME SCOPE: makes a key, and keeps it where whoever needs it reads it.
make_key() {
    file=$HOME/$1-key
    if [ ! -s "$file" ]; then
        # One of a lost volume may still be in the database.
        modomodo key revoke "$1" || true
        modomodo key create "$1" --scope "$2" > "$file.new"
        mv "$file.new" "$file"
    fi
}
make_key prometheus read
make_key fleet worker
