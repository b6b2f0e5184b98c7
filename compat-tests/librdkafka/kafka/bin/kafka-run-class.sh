#!/usr/bin/env bash
# Runs a Java program with Kafka's client, as Kafka's script of this name does.
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$CLASSPATH:$KAFKA_JARS/*" "$@"
