#!/bin/sh
# Plays the application and its viewers: uploads pictures, and asks the gateway for all of them again
# and again. Prints a line a second; it ends when it is stopped.

set -eu

old=http://old:8333/media
new=http://new:8333/media
gateway=http://gateway:8080
before=40 # pictures from the time before the move

picture=$(mktemp)
answers=$(mktemp)
trap 'exit 0' TERM INT

upload() { # URL
    head -c 50000 /dev/urandom >"$picture"
    curl --silent --fail --max-time 5 --output /dev/null --aws-sigv4 aws:amz:us-east-1:s3 \
        --user demo:not-a-secret --header 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
        --header 'Content-Type: image/webp' \
        --request PUT --data-binary "@$picture" "$1"
}

echo "waiting for both buckets"
until upload "$old/ready" && upload "$new/ready"; do sleep 1; done

number=1
while [ "$number" -le "$before" ]; do
    upload "$old/misskey/$number.webp"
    number=$((number + 1))
done
until curl --silent --fail --output /dev/null "$gateway/misskey/1.webp"; do sleep 1; done

cat <<'TEXT'

40 pictures are in the old bucket; from now on a new one is uploaded to the new bucket each second.
In another terminal (… = docker compose --project-name media-gateway-demo --file docker/compose.demo.yaml):

  1  … exec gateway media-gateway migrate --from old --to new    copies the rest; repeat it until "new 0"
  2  … exec gateway media-gateway audit old --quiet-for 1s       may it be switched off?
  3  … stop old                                                  it is; nothing below changes
  4  … exec gateway media-gateway purge --all --yes              no copies either: all comes from new
  5  … stop new                                                  both off: what is held is served on

TEXT

newest=$before
while sleep 1; do
    # The application's own trouble when its bucket is off; the viewers' begins below.
    if upload "$new/misskey/$((newest + 1)).webp"; then
        newest=$((newest + 1))
    fi
    curl --silent --output /dev/null --max-time 20 \
        --write-out '%{http_code} %header{x-cache} %header{x-origin}\n' \
        "$gateway/misskey/[1-$newest].webp" >"$answers" || true
    awk -v pictures="$newest" -v time="$(date +%T)" '
        $1 == 200 { good++; how[$2]++; from[$3]++ }
        $1 != 200 { bad++ }
        END {
            printf "%s  pictures %d  answered %d  errors %d  |  ", time, pictures, good, bad
            printf "hit %d  miss %d  stale %d  |  ", how["HIT"], how["MISS"], how["STALE"]
            printf "from new %d  from old %d\n", from["new"], from["old"]
        }' "$answers"
done
