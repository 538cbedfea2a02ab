{{/* The serving pod: the frontend, and Triton on the pod's own loopback. Call with (dict "root" $root "pool" $pool). */}}

{{- define "reflex.pod" -}}
{{- $root := .root -}}
{{- $pool := .pool -}}
{{- $init := include "reflex.servingInit" . -}}
serviceAccountName: {{ include "reflex.serviceAccountName" $root | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "reflex.pullSecrets" $root }}
securityContext: {{- include "reflex.podSecurity" $root | nindent 2 }}
# The frontend's delay and drain (10 s), then Triton's own end, and some seconds for the node.
terminationGracePeriodSeconds: {{ add $root.Values.drain.delaySeconds 10 $root.Values.triton.exitTimeoutSeconds 7 }}
{{- with $root.Values.triton.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with $root.Values.pod.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .pool.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .pool.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.pod.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- range (list "kubernetes.io/hostname" "topology.kubernetes.io/zone") }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $root.Values.pod.spread }}
    labelSelector:
      matchLabels:
        {{- include "reflex.serverSelector" $root | nindent 8 }}
        reflex-pool: {{ $pool.name | quote }}
    matchLabelKeys: [pod-template-hash] # else the pods of an update are spread together with those that they replace
{{- end }}
{{- if or $init $root.Values.pod.extraInitContainers }}
initContainers:
{{- range $root.Values.pod.extraInitContainers }}
  - {{- include "reflex.foreignContainer" . | nindent 4 }}
{{- end }}
{{- with $init }}
{{ . | indent 2 }}
{{- end }}
{{- end }}
containers:
{{ include "reflex.frontendContainer" . | indent 2 }}
{{ include "reflex.tritonContainer" . | indent 2 }}
{{- range $root.Values.pod.extraContainers }}
  - {{- include "reflex.foreignContainer" . | nindent 4 }}
{{- end }}
volumes:
{{ include "reflex.servingVolumes" $root | indent 2 }}
  - name: temporary-frontend
    emptyDir: {sizeLimit: {{ $root.Values.pod.temporarySize }}}
  - name: temporary-triton
    emptyDir: {sizeLimit: {{ $root.Values.pod.temporarySize }}}
  - name: shared-memory
    emptyDir: {medium: Memory, sizeLimit: {{ $root.Values.triton.sharedMemory }}}
{{- with $root.Values.auth.existingSecret }}
  - name: api-keys
    secret: {secretName: {{ . | quote }}, defaultMode: 0440}
{{- end }}
{{- with $root.Values.pod.extraVolumes }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- end -}}

{{- define "reflex.frontendContainer" -}}
{{- $root := .root -}}
- name: frontend
  image: {{ include "reflex.image" (dict "root" $root "image" $root.Values.frontend.image) | quote }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  securityContext: {{- include "reflex.containerSecurity" $root | nindent 4 }}
  command: [reflex]
  args: [serve]
  env:
{{ include "reflex.commonEnvironment" $root | indent 4 }}
{{- range $name, $value := include "reflex.frontendSettings" $root | fromYaml }}
    - {name: {{ $name | quote }}, value: {{ $value | quote }}}
{{- end }}
{{- if $root.Values.control.sessions.required }}
    - name: REFLEX_CONTROL_KEY
      valueFrom: {secretKeyRef: {name: {{ $root.Values.control.sessions.existingSecret | quote }}, key: control-key}}
{{- end }}
{{- with $root.Values.frontend.env }}
{{ toYaml . | indent 4 }}
{{- end }}
  ports:
    - {name: http, containerPort: 8000}
  # Until it has succeeded once, neither of the others is asked: a pod that is warming is never restarted.
  startupProbe:
    httpGet: {path: /health, port: http}
    periodSeconds: 5
    timeoutSeconds: 3
    failureThreshold: {{ div (add $root.Values.probes.startupSeconds 4) 5 }}
  readinessProbe:
    httpGet: {path: /health, port: http}
    periodSeconds: 2
    timeoutSeconds: 2
    failureThreshold: 2
  # Only the process itself: restarting the frontend would not mend its Triton.
  livenessProbe:
    httpGet: {path: /health/live, port: http}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 3
  lifecycle:
    preStop:
      exec:
        command: [sleep, {{ $root.Values.drain.delaySeconds | toString | quote }}]
  resources: {{- toYaml $root.Values.frontend.resources | nindent 4 }}
  volumeMounts:
{{ include "reflex.servingMounts" $root | indent 4 }}
    - {name: temporary-frontend, mountPath: /tmp}
{{- if $root.Values.auth.existingSecret }}
    - {name: api-keys, mountPath: /etc/reflex/auth, readOnly: true}
{{- end }}
{{- with $root.Values.pod.extraVolumeMounts }}
{{ toYaml . | indent 4 }}
{{- end }}
{{- end -}}

{{- /* What the chart itself says to `reflex serve`; _checks.tpl keeps frontend.env from saying it again. */ -}}
{{- define "reflex.frontendSettings" -}}
REFLEX_TRITON: grpc://127.0.0.1:8001
REFLEX_TRITON_ADMIN_HEADER: reflex=$(POD_UID)
REFLEX_HOST: {{ .Values.frontend.host | quote }}
REFLEX_PORT: "8000"
REFLEX_MODEL_REPOSITORY: /models/repository
REFLEX_JSON_LOGS: "true"
REFLEX_GUARD: {{ .Values.frontend.guard | quote }}
{{- if .Values.frontend.guard }}
REFLEX_MAX_CLAMPED_SHARE: {{ .Values.frontend.maxClampedShare | quote }}
{{- end }}
REFLEX_CORS_ORIGINS: {{ .Values.frontend.corsOrigins | quote }}
REFLEX_RECEIVE_TIMEOUT_S: {{ .Values.frontend.receiveTimeoutSeconds | quote }}
{{- with .Values.policy }}
REFLEX_POLICY: {{ . | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.frontend.maxQueue) }}
REFLEX_MAX_QUEUE: {{ .Values.frontend.maxQueue | int | quote }}
{{- end }}
{{- if .Values.auth.existingSecret }}
REFLEX_API_KEYS: /etc/reflex/auth/{{ .Values.auth.key }}
{{- else if not .Values.control.sessions.required }}
REFLEX_INSECURE: "true"
{{- end }}
{{- if .Values.control.sessions.required }}
REFLEX_SESSIONS_FROM: {{ include "reflex.controlUrl" . | quote }}
{{- end }}
{{- end -}}

{{- define "reflex.tritonContainer" -}}
{{- $root := .root -}}
{{- $isGpu := eq $root.Values.triton.accelerator "gpu" -}}
- name: triton
  image: {{ include "reflex.tritonImage" $root | quote }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  securityContext: {{- include "reflex.containerSecurity" $root | nindent 4 }}
  args: {{- include "reflex.tritonArguments" $root | nindent 4 }}
  env:
{{ include "reflex.commonEnvironment" $root | indent 4 }}
{{- with $root.Values.triton.env }}
{{ toYaml . | indent 4 }}
{{- end }}
{{- if $root.Values.monitoring.tritonMetrics }}
  ports:
    - {name: triton-metrics, containerPort: 8002}
{{- end }}
  # By exec, since Triton listens on the pod's loopback only, where no kubelet comes.
  startupProbe:
    exec: {{- include "reflex.tritonIsLive" $root | nindent 6 }}
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: {{ div (add $root.Values.probes.startupSeconds 4) 5 }}
  livenessProbe:
    exec: {{- include "reflex.tritonIsLive" $root | nindent 6 }}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 3
  lifecycle:
    preStop: # outlives the frontend, whose last requests it still answers
      exec:
        command:
          - bash
          - -c
          - for _ in $(seq {{ mul 2 (add $root.Values.drain.delaySeconds 10) }}); do (exec 3<>/dev/tcp/localhost/8000) 2>/dev/null || exit 0; sleep 0.5; done
  resources: {{- include "reflex.gpuLimits" (dict "root" $root "resources" $root.Values.triton.resources) | nindent 4 }}
  volumeMounts:
{{ include "reflex.servingMounts" $root | indent 4 }}
    - {name: temporary-triton, mountPath: /tmp}
    - {name: shared-memory, mountPath: /dev/shm}
{{- with $root.Values.pod.extraVolumeMounts }}
{{ toYaml . | indent 4 }}
{{- end }}
{{- end -}}

{{- /* POD_UID is the key of Triton's administration: on the pod's loopback, and nothing that a neighbour could guess. */ -}}
{{- define "reflex.commonEnvironment" -}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
- {name: HOME, value: /tmp}
{{- end -}}

{{- define "reflex.tritonIsLive" -}}
command:
  - bash
  - -c
  - exec 3<>/dev/tcp/127.0.0.1/8003 && printf 'GET /v2/health/live HTTP/1.0\r\n\r\n' >&3 && grep -q '200 OK' <&3
{{- end -}}

{{- define "reflex.tritonArguments" -}}
{{- $admin := "model-repository,shared-memory,trace,logging:reflex=$(POD_UID)" -}}
- tritonserver
- --model-repository=/models/repository
# Explicit: nothing is loaded later but by the frontend, which alone has the key of the restricted interfaces below.
- --model-control-mode=explicit
- --load-model={{ default "*" .Values.policy }}
- --disable-auto-complete-config
- --strict-readiness=true
- --exit-on-error=true
- --exit-timeout-secs={{ .Values.triton.exitTimeoutSeconds }}
- --grpc-address=127.0.0.1
- --grpc-port=8001
# On loopback the frontend may ping as often as it likes: that is how it notices a dead server.
- --grpc-keepalive-permit-without-calls=true
- --grpc-http2-max-ping-strikes=0
- --grpc-restricted-protocol={{ $admin }}
- --http-address=127.0.0.1
- --http-port=8003
- --http-restricted-api={{ $admin }}
{{- if .Values.monitoring.tritonMetrics }}
- --allow-metrics=true
- --metrics-address=0.0.0.0
- --metrics-port=8002
{{- else }}
- --allow-metrics=false
{{- end }}
{{- if eq .Values.triton.accelerator "gpu" }}
{{- range until (int .Values.triton.gpuCount) }}
- --cuda-memory-pool-byte-size={{ . }}:{{ $.Values.triton.memoryPoolBytes | int64 }}
{{- end }}
{{- else }}
- --pinned-memory-pool-byte-size=0
{{- end }}
{{- with .Values.triton.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}
