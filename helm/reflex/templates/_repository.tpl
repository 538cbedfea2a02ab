{{/* How the model repository gets to /models/repository of a pod, for every source. */}}

{{- /* A container that fills the volume `models`; nothing for a claim. Call with the root. */ -}}
{{- define "reflex.repositoryInit" -}}
{{- $source := .Values.modelRepository.source -}}
{{- if ne $source "claim" -}}
- name: model-repository
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  securityContext: {{- include "reflex.containerSecurity" . | nindent 4 }}
{{- if eq $source "demo" }}
  image: {{ include "reflex.image" (dict "root" . "image" .Values.frontend.image) | quote }}
  command: [reflex, demo, copy]
  args: [/models/repository, --replace] # the container may start again
{{- else if eq $source "image" }}
  image: {{ .Values.modelRepository.image.reference | quote }}
  command: [cp, -R, {{ printf "%s/." (trimSuffix "/" .Values.modelRepository.image.path) }}, /models/repository/]
{{- else if eq $source "fetch" }}
  image: {{ .Values.modelRepository.fetch.image | quote }}
  command: {{- toYaml .Values.modelRepository.fetch.command | nindent 4 }}
  env:
    - {name: REFLEX_TARGET, value: /models/repository}
    - {name: HOME, value: /tmp}
{{- with .Values.modelRepository.fetch.env }}
{{ toYaml . | indent 4 }}
{{- end }}
{{- with .Values.modelRepository.fetch.existingSecret }}
  envFrom:
    - secretRef: {name: {{ . | quote }}}
{{- end }}
{{- end }}
  resources:
    requests: {cpu: 100m, memory: 128Mi}
    limits: {memory: 1Gi}
  volumeMounts:
    # The mount itself is the folder, so that it is there for any tool to write to.
    - {name: models, mountPath: /models/repository}
    - {name: temporary-init, mountPath: /tmp}
{{- end -}}
{{- end -}}

{{- /* The volume `models`, of the source itself. */ -}}
{{- define "reflex.repositoryVolume" -}}
- name: models
{{- if eq .Values.modelRepository.source "claim" }}
  persistentVolumeClaim: {claimName: {{ .Values.modelRepository.claim.name | quote }}, readOnly: true}
{{- else }}
  emptyDir: {sizeLimit: {{ .Values.modelRepository.sizeLimit }}}
{{- end }}
- name: temporary-init
  emptyDir: {sizeLimit: {{ .Values.pod.temporarySize }}}
{{- end -}}

{{- /* How a container reads it. Call with (dict "root" $ "path" "/source"). */ -}}
{{- define "reflex.repositoryMount" -}}
- name: models
  mountPath: {{ .path | quote }}
  readOnly: true
{{- if eq .root.Values.modelRepository.source "claim" }}
{{- with .root.Values.modelRepository.claim.subPath }}
  subPath: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Where both containers find the policies. With engines it is a link, made by the waiting init container. */ -}}
{{- define "reflex.servingMounts" -}}
{{- if .Values.engines.enabled -}}
- {name: repository-link, mountPath: /models, readOnly: true}
- {name: engines, mountPath: /engines, readOnly: true}
{{- else -}}
{{ include "reflex.repositoryMount" (dict "root" . "path" "/models/repository") }}
{{- end -}}
{{- end -}}

{{- define "reflex.servingVolumes" -}}
{{- if .Values.engines.enabled -}}
- name: repository-link
  emptyDir: {sizeLimit: 1Mi}
- name: engines
  persistentVolumeClaim: {claimName: {{ include "reflex.enginesClaim" . | quote }}, readOnly: true}
{{- else -}}
{{ include "reflex.repositoryVolume" . }}
{{- end -}}
{{- end -}}

{{- define "reflex.servingInit" -}}
{{- if .root.Values.engines.enabled -}}
- name: wait-for-engines
  image: {{ include "reflex.image" (dict "root" .root "image" .root.Values.frontend.image) | quote }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  securityContext: {{- include "reflex.containerSecurity" .root | nindent 4 }}
  command: [reflex, engines, wait]
  args:
    - /engines/{{ include "reflex.enginesKey" . }}
    - --link=/models/repository
    - --job={{ .pool.fullname }}-engines
    - --timeout={{ int64 .root.Values.engines.waitTimeoutSeconds }}
  resources:
    requests: {cpu: 10m, memory: 64Mi}
    limits: {memory: 128Mi}
  volumeMounts:
    - {name: repository-link, mountPath: /models}
    - {name: engines, mountPath: /engines, readOnly: true}
{{- else -}}
{{ include "reflex.repositoryInit" .root }}
{{- end -}}
{{- end -}}
