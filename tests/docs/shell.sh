# What a block of a page finds in its shell: `siamese` and `curl`, which fail where a person would see that they do.
# PAGE_FOLDER is where the page's files are, PORT where its service is.

stop_service() {
    if [ -s "$PAGE_FOLDER.pid" ]; then
        kill "$(cat "$PAGE_FOLDER.pid")" 2>/dev/null || true
        while kill -0 "$(cat "$PAGE_FOLDER.pid")" 2>/dev/null; do sleep 0.02; done
        rm "$PAGE_FOLDER.pid"
    fi
}

# Starts `siamese serve` with these arguments in the place of the service before, and waits until it is ready.
start_service() {
    stop_service
    local port=$PORT previous=""
    for argument in "$@"; do
        [ "$previous" = --listen ] && port=${argument##*:}
        previous=$argument
    done
    (cd "$PAGE_FOLDER" && exec "$SIAMESE_BINARY" serve "$@" </dev/null >/dev/null 2>>"$PAGE_FOLDER.log" 3>&- &
        echo $! >"$PAGE_FOLDER.pid")
    local pid
    pid=$(cat "$PAGE_FOLDER.pid")
    while ! command curl -sf -o /dev/null "localhost:$port/readyz"; do
        if ! kill -0 "$pid" 2>/dev/null; then
            tail -n 3 "$PAGE_FOLDER.log" >&2
            return 1
        fi
        sleep 0.02
    done
}

siamese() {
    case $1 in
        serve) shift && start_service "$@" ;;
        # The data folder of the service is its own.
        compact) stop_service && "$SIAMESE_BINARY" "$@" && start_service ;;
        # A model of some kilobytes learns in the place of the default one.
        train)
            case $2 in
                mine | pairs) "$SIAMESE_BINARY" "$@" ;;
                *) "$SIAMESE_BINARY" "$@" --model path/to/model-folder ;;
            esac
            ;;
        # 3: some texts are alike, or another encoder is not better.
        dedup | reencode) "$SIAMESE_BINARY" "$@" || [ $? -eq 3 ] ;;
        *) "$SIAMESE_BINARY" "$@" ;;
    esac
}

curl() { command curl --fail-with-body "$@"; }
