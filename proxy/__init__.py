"""nginx in front of replicas of the service on one machine: `make up`, `make down`. docs/proxy.md says what it guarantees."""
