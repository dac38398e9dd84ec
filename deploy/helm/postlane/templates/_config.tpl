{{/* postlane.yaml: that of the values, and what follows from the manifests. */}}

{{- define "postlane.config" -}}
{{- $name := include "postlane.fullname" . -}}
{{- $config := deepCopy .Values.config -}}
{{- $worker := $config.worker | default dict -}}
{{- $metrics := $config.metrics | default dict -}}
{{- $api := $config.api | default dict -}}
{{- if hasKey $worker "drain" }}{{ fail "config.worker.drain: set worker.drainSeconds, from which the grace of the pods follows" }}{{ end -}}
{{- if or (hasKey $worker "health") (hasKey $metrics "listen") (hasKey $api "listen") -}}
{{- fail "config.worker.health, config.metrics.listen and config.api.listen are set by the chart, for its probes and Services" -}}
{{- end -}}
{{- $_ := set $config "worker" (merge (dict "drain" (printf "%ds" (int .Values.worker.drainSeconds)) "health" (dict "host" "0.0.0.0" "port" 8080)) $worker) -}}
{{- $hosts := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) -}}
{{- if .Values.serve.enabled -}}
{{- if not $api.tokens }}{{ fail "config.api.tokens: `postlane token new` makes one; or set serve.enabled: false" }}{{ end -}}
{{- if .Values.serve.ingress.enabled -}}
{{- $hosts = append $hosts (required "serve.ingress.host: name the host of the Ingress" .Values.serve.ingress.host) -}}
{{- end -}}
{{- $_ = set $api "listen" "0.0.0.0:8025" -}}
{{- end -}}
{{- $_ = set $config "api" (merge (dict "hosts" (concat $hosts ($api.hosts | default list))) $api) -}}
{{- $_ = set $config "metrics" (merge (dict "listen" "0.0.0.0:9464") $metrics) -}}
{{- if .Values.redis.enabled -}}
{{- if $config.redis }}{{ fail "config.redis: leave it out with redis.enabled, or set redis.enabled: false" }}{{ end -}}
{{- $_ = set $config "redis" (dict "url" (printf "redis://%s-redis:6379" $name) "username" "postlane-worker" "password" "${file:/etc/postlane-secrets/redis-password}") -}}
{{- else if not $config.redis -}}
{{- fail "config.redis: name your Redis, or set redis.enabled for a trial" -}}
{{- end -}}
{{- if and .Values.smtp.enabled (not $config.submission) }}{{ fail "config.submission: smtp.enabled needs its listeners" }}{{ end -}}
{{- if and .Values.outbox.enabled (not $config.outbox) }}{{ fail "config.outbox: outbox.enabled needs its database" }}{{ end -}}
{{- toYaml $config -}}
{{- end -}}
