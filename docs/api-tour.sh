#!/usr/bin/env bash
# A tour of the API for a running stack, with curl and python3: bash docs/api-tour.sh [http://127.0.0.1:3001]
set -euo pipefail

API=${1:-http://127.0.0.1:3001}/api/v1
JSON='Content-Type: application/json'
field() { python3 -c "import json, sys; print(json.load(sys.stdin)['data']$1)"; }

# Register: makes a user and a tenant of their own
register() {
  curl -sS --fail-with-body "$API/auth/register" -H "$JSON" -d '{
    "email": "'"$1-$RANDOM$RANDOM"'@example.com", "password": "Lovelace-1815", "fullName": "'"$1"'"
  }' | field "['tokens']['accessToken']"
}
TOKEN=$(register Ada)

# A key for programs: it may do what its scopes name, and is shown this once
KEY=$(curl -sS --fail-with-body "$API/api-keys" -H "Authorization: Bearer $TOKEN" -H "$JSON" -d '{
  "name": "tour",
  "scopes": ["agents:create", "agents:update", "workflows:create", "workflows:execute", "executions:read"]
}' | field "['key']")
call() { curl -sS --fail-with-body -H "X-API-Key: $KEY" -H "$JSON" "$@"; }

# An agent: a bit of Python that runs in a sandbox
AGENT=$(call "$API/agents" -d '{
  "name": "Greeter", "type": "CODE",
  "config": {"language": "python", "code": "def main(input):\n    return {\"text\": \"Hello, \" + input[\"name\"]}"}
}' | field "['id']")
call -X PATCH "$API/agents/$AGENT" -d '{"status": "ACTIVE"}' > /dev/null

# A workflow: checked as a whole, every problem reported at once
WORKFLOW=$(call "$API/workflows" -d '{
  "name": "Greeting", "status": "ACTIVE",
  "inputSchema": {"type": "object", "properties": {"name": {"type": "string", "default": "world"}}},
  "steps": [{"stepKey": "greet", "type": "AGENT", "agentId": "'"$AGENT"'", "inputs": {"name": "{{ inputs.name }}"}}],
  "output": {"text": "{{ greet.output.text }}"}
}' | field "['id']")

# Run it; a key of yours makes the call safe to send again
RUN=$(call "$API/workflows/$WORKFLOW/execute" -H "Idempotency-Key: tour-$WORKFLOW" -d '{
  "inputs": {"name": "Charles"}
}' | field "['executionId']")

# A moment later it is over, and the result is there
until STATUS=$(call "$API/executions/$RUN" | field "['status']") && [[ $STATUS != PENDING && $STATUS != RUNNING ]]; do
  sleep 0.2
done
echo "$STATUS: $(call "$API/executions/$RUN" | field "['outputs']['text']")"
call "$API/executions/$RUN/steps" | python3 -m json.tool

# Another tenant finds nothing there
curl -sS -w '\nAnother tenant gets %{http_code}\n' -H "Authorization: Bearer $(register Charles)" "$API/executions/$RUN"
