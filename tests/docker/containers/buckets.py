"""A SeaweedFS as a service of a compose file, and pictures for it.

The keys are those of the demo, whose file has to lie at `demo/s3.json` of the project.
"""

from .engine import docker


def bucket(name, network):
    """The lines of a service that is a bucket called `media`, at this name of the network."""
    return f"""\
  {name}:
    image: ${{SEAWEEDFS_IMAGE}}
    hostname: {name}
    entrypoint: [weed]
    command: mini -dir=/data -ip={name} -ip.bind=0.0.0.0 -bucket=media
      -s3.config=/etc/seaweedfs/s3.json -s3.port=8333 -webdav=false -admin.ui=false
      -master.telemetry=false
    volumes: ["./demo/s3.json:/etc/seaweedfs/s3.json:ro,z", /data]
    networks: [{network}]
"""


def upload(container, name, numbers, length):
    """Pictures of so many bytes, put by curl in a container that reaches the bucket."""
    docker("exec", container, "sh", "-ec", """
        bucket=$1 length=$2
        shift 2
        for number; do
            head -c "$length" /dev/zero | tr '\\0' "$number" >/tmp/picture
            curl --silent --fail --max-time 5 --output /dev/null \\
                --aws-sigv4 aws:amz:us-east-1:s3 --user demo:not-a-secret \\
                --header 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \\
                --header 'Content-Type: image/webp' --request PUT --data-binary @/tmp/picture \\
                "http://$bucket:8333/media/misskey/$number.webp"
        done
        """, "upload", name, str(length), *(str(number) for number in numbers))
    return True
