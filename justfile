# The verbs people type daily. `just` alone lists them.
set dotenv-load
set export

default:
    @just --list

# build the binary
build:
    go build -o bin/gatehouse ./cmd/gatehouse

# run the server: just run, just run protect app.localhost internal:demo
run *ARGS="serve":
    go run ./cmd/gatehouse {{ARGS}}

# all checks, or one package: just test ./internal/edge -run Forward
test *ARGS:
    ./scripts/test {{ARGS}}

# all checks with the long tests whole
test-all:
    ./scripts/test --all

# the linter alone
lint:
    mkdir -p .tools && cd tools && GOBIN="$PWD/../.tools" go install tool
    .tools/golangci-lint run ./...

# benchmarks of the request path
bench:
    go test -run '^$' -bench . -benchmem ./bench ./internal/edge ./internal/oauth ./internal/journal ./internal/store/...

health:
    go run ./cmd/gatehouse system health

proxy *ARGS:
    go run ./cmd/gatehouse proxy {{ARGS}}

route *ARGS:
    go run ./cmd/gatehouse route {{ARGS}}

oauth *ARGS:
    go run ./cmd/gatehouse oauth {{ARGS}}

log *ARGS:
    go run ./cmd/gatehouse log {{ARGS}}

# compliance of an MCP server: just mcp-test [URL] [CATEGORY]
mcp-test *ARGS:
    go run ./cmd/gatehouse mcp test {{ARGS}}

mcp-test-verbose *ARGS:
    go run ./cmd/gatehouse mcp test --verbose {{ARGS}}

# an MCP server under load: just mcp-stress [URL] [SESSIONS]
mcp-stress *ARGS:
    go run ./cmd/gatehouse mcp stress {{ARGS}}
