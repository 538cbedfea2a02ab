{{/* The control plane: its names, its settings and its pods. */}}

{{- define "reflex.controlName" -}}
{{ include "reflex.fullname" . }}-control
{{- end -}}

{{- define "reflex.controlUrl" -}}
http://{{ include "reflex.controlName" . }}:{{ .Values.control.service.port | int }}
{{- end -}}

{{- define "reflex.controlSelector" -}}
{{ include "reflex.selector" . }}
app.kubernetes.io/component: control
{{- end -}}

{{- define "reflex.controlClaim" -}}
{{- default (include "reflex.controlName" .) .Values.control.storage.existingClaim -}}
{{- end -}}

{{- define "reflex.backupClaim" -}}
{{- default (printf "%s-backups" (include "reflex.controlName" .)) .Values.control.backup.existingClaim -}}
{{- end -}}

{{- /* What the chart itself says to `reflex control`; _checks.tpl keeps control.env from saying it again. */ -}}
{{- define "reflex.controlSettings" -}}
REFLEX_CONTROL_HOST: {{ .Values.frontend.host | quote }}
REFLEX_CONTROL_PORT: "8100"
REFLEX_CONTROL_JSON_LOGS: "true"
REFLEX_CONTROL_RATE_LIMIT: {{ .Values.control.rateLimit | quote }}
# Logs are collected: the first key is made by `reflex control init`.
REFLEX_CONTROL_FIRST_KEY: "false"
# A folder of its own in the volume, whose root others may look into.
REFLEX_CONTROL_DATA: /data/control
{{- with .Values.control.allowedHosts }}
REFLEX_CONTROL_ALLOWED_HOSTS: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "reflex.controlPod" -}}
serviceAccountName: {{ include "reflex.serviceAccountName" . | quote }}
{{ include "reflex.controlPodBase" . }}
# The delay, the drain (8 s), and some seconds for the node.
terminationGracePeriodSeconds: {{ add .Values.drain.delaySeconds 15 }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "reflex.controlSelector" . | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
{{- if not .Values.control.database.existingSecret }}
# Here, and not in a hook: nobody else may have the store open, and a claim is one node's.
initContainers:
{{ include "reflex.controlContainer" (dict "root" . "name" "migrate" "arguments" (list "control" "migrate")) | indent 2 }}
{{- end }}
containers:
{{ include "reflex.controlContainer" (dict "root" . "name" "control" "arguments" (list "control" "serve")) | indent 2 }}
    ports:
      - {name: control, containerPort: 8100}
    startupProbe:
      httpGet: {path: /health, port: control}
      periodSeconds: 2
      timeoutSeconds: 3
      failureThreshold: 60
    readinessProbe:
      httpGet: {path: /health, port: control}
      periodSeconds: 5
      timeoutSeconds: 3
      failureThreshold: 2
    # Only the process itself: restarting it would not mend its database.
    livenessProbe:
      httpGet: {path: /health/live, port: control}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 3
    lifecycle:
      preStop:
        exec:
          command: [sleep, {{ .Values.drain.delaySeconds | toString | quote }}]
volumes:
{{ include "reflex.controlVolumes" . | indent 2 }}
{{- end -}}

{{- /* What the server, the migration and the backup have in common. */ -}}
{{- define "reflex.controlPodBase" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "reflex.pullSecrets" . }}
securityContext:
  {{- include "reflex.podSecurity" . | nindent 2 }}
{{- if kindIs "invalid" .Values.pod.runAsUser }}
  fsGroupChangePolicy: OnRootMismatch # else each mount opens the store's folder to the group
{{- end }}
{{- with .Values.control.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.control.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Call with (dict "root" $ "name" "control" "arguments" (list "control" "serve")). */ -}}
{{- define "reflex.controlContainer" -}}
{{- $root := .root -}}
{{- $control := $root.Values.control -}}
- name: {{ .name }}
  image: {{ include "reflex.image" (dict "root" $root "image" $control.image) | quote }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  securityContext: {{- include "reflex.containerSecurity" $root | nindent 4 }}
  command: [reflex]
  args: {{- toYaml .arguments | nindent 4 }}
  env:
    - {name: HOME, value: /tmp}
{{- range $name, $value := include "reflex.controlSettings" $root | fromYaml }}
    - {name: {{ $name | quote }}, value: {{ $value | quote }}}
{{- end }}
{{- with $control.database.existingSecret }}
    - name: REFLEX_CONTROL_DB
      valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: {{ $control.database.key | quote }}}}
{{- end }}
{{- with $control.env }}
{{ toYaml . | indent 4 }}
{{- end }}
  resources: {{- toYaml $control.resources | nindent 4 }}
  volumeMounts:
    - {name: temporary, mountPath: /tmp}
{{- if not $control.database.existingSecret }}
    - {name: data, mountPath: /data}
{{- end }}
{{- end -}}

{{- define "reflex.controlVolumes" -}}
- name: temporary
  emptyDir: {sizeLimit: 64Mi}
{{- if not .Values.control.database.existingSecret }}
- name: data
  persistentVolumeClaim: {claimName: {{ include "reflex.controlClaim" . | quote }}}
{{- end }}
{{- end -}}

{{- /* Call with (dict "root" $ "name" "..." "storage" .Values.control.storage). */ -}}
{{- define "reflex.keptClaim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name | quote }}
  namespace: {{ .root.Release.Namespace | quote }}
  labels: {{- include "reflex.labels" .root | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
spec:
  accessModes: [ReadWriteOnce]
{{- with .storage.className }}
  storageClassName: {{ . | quote }}
{{- end }}
  resources: {requests: {storage: {{ .storage.size }}}}
{{- end -}}
