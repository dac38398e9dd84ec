{{/*
The Deployment of one process, and its disruption budget. Takes a dict: root, component (the command of `postlane`), replicas (null: an
autoscaler decides), resources, grace in seconds, ports (name → number), probe (the port that answers it), preStop (whether clients
connect to it).
*/}}
{{- define "postlane.deployment" -}}
{{- $root := .root -}}
{{- $name := printf "%s-%s" (include "postlane.fullname" $root) .component -}}
{{- $selector := include "postlane.selector" . -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {{- include "postlane.labels" . | nindent 4 }}
spec:
  {{- if not (kindIs "invalid" .replicas) }}
  replicas: {{ .replicas }}
  {{- end }}
  strategy:
    rollingUpdate: { maxUnavailable: 0, maxSurge: 1 }
  selector:
    matchLabels: {{- $selector | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "postlane.labels" . | nindent 8 }}
        {{- with $root.Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $root.Values.podAnnotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      terminationGracePeriodSeconds: {{ .grace }}
      serviceAccountName: {{ include "postlane.serviceAccount" $root }}
      automountServiceAccountToken: false
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      {{- with $root.Values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $root.Values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 1000
        runAsGroup: 1000
        fsGroup: 1000
        seccompProfile: { type: RuntimeDefault }
      topologySpreadConstraints:
        {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
        - maxSkew: 1
          topologyKey: {{ . }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- $selector | nindent 14 }}
        {{- end }}
      volumes:
        # Folders, not single files (subPath): those would never change.
        - name: config
          configMap: { name: {{ include "postlane.fullname" $root }} }
        - name: secrets
          projected:
            defaultMode: 0440
            sources:
              {{- range $root.Values.secrets }}
              - secret: { name: {{ . }} }
              {{- else }} []
              {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "postlane.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ .component }}]
          env:
            - { name: POSTLANE_CONFIG, value: /etc/postlane/postlane.yaml }
            # Below the memory limit: the rest is buffers of mail (worker.maxBytesInFlight) outside of V8's heap.
            - { name: NODE_OPTIONS, value: --max-old-space-size=640 }
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: { drop: [ALL] }
          volumeMounts:
            - { name: config, mountPath: /etc/postlane, readOnly: true }
            - { name: secrets, mountPath: /etc/postlane-secrets, readOnly: true }
          resources: {{- toYaml .resources | nindent 12 }}
          ports:
            {{- range $port, $number := .ports }}
            - { name: {{ $port }}, containerPort: {{ $number }} }
            {{- end }}
          {{- if .preStop }}
          lifecycle:
            # Until every node has heard that nothing more is to be sent here.
            preStop: { sleep: { seconds: 5 } }
          {{- end }}
          # Redis that is away is no reason to restart: each worker that is killed amid a transaction leaves an uncertain message.
          livenessProbe:
            httpGet: { path: /livez, port: {{ .probe }} }
            periodSeconds: 15
            timeoutSeconds: 5
            failureThreshold: 4
          readinessProbe:
            httpGet: { path: /readyz, port: {{ .probe }} }
            periodSeconds: 5
            timeoutSeconds: 3
          startupProbe:
            httpGet: { path: /livez, port: {{ .probe }} }
            periodSeconds: 2
            failureThreshold: 30
{{- if $root.Values.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels: {{- include "postlane.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  # One that is not ready anyway must not keep a node from being drained.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- $selector | nindent 6 }}
{{- end }}
{{- end -}}
