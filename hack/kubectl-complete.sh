#!/usr/bin/env sh
# kubectl asks a plugin's completion by this name (kubectl_complete-podtrail) with the words typed so far.
exec podtrail __complete "$@"
