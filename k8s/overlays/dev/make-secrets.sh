#!/bin/sh
# Prints the Namespace and the Secret of the dev overlay, with new passwords and a new key. Nothing of it is kept here:
#
#     sh k8s/overlays/dev/make-secrets.sh | kubectl apply -f -
#
# Once only: PostgreSQL keeps the password that it was started with first.
set -eu

postgres_password=$(openssl rand -hex 24)
redis_password=$(openssl rand -hex 24)

cat <<YAML
apiVersion: v1
kind: Namespace
metadata:
  name: doorward
---
apiVersion: v1
kind: Secret
metadata:
  name: doorward
  namespace: doorward
stringData:
  database-url: postgres://doorward:$postgres_password@postgres/doorward
  redis-url: redis://:$redis_password@redis
  smtp-url: smtp://mail:1025?tls=off
  key-encryption-key: '$(openssl rand -base64 32)'
---
apiVersion: v1
kind: Secret
metadata:
  name: postgres
  namespace: doorward
stringData:
  password: '$postgres_password'
---
apiVersion: v1
kind: Secret
metadata:
  name: redis
  namespace: doorward
stringData:
  redis.conf: requirepass $redis_password
YAML
