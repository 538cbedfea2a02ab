{{/* Names, labels and images. */}}

{{- define "reflex.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* 40 characters, so that a pool's name and a suffix still fit into the 63 of a label. */ -}}
{{- define "reflex.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "reflex.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "reflex.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "reflex.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "reflex.selector" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "reflex.selector" -}}
app.kubernetes.io/name: {{ include "reflex.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "reflex.serverSelector" -}}
{{ include "reflex.selector" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- /* One of Reflex's own images. Call with (dict "root" $ "image" .Values.frontend.image). */ -}}
{{- define "reflex.image" -}}
{{- $registry := trimSuffix "/" .root.Values.image.registry -}}
{{- $name := .image.repository -}}
{{- if $registry -}}{{- $name = printf "%s/%s" $registry $name -}}{{- end -}}
{{- if .image.digest -}}{{ $name }}@{{ .image.digest }}
{{- else -}}{{ $name }}:{{ default .root.Chart.AppVersion .image.tag }}
{{- end -}}
{{- end -}}

{{- define "reflex.tritonImage" -}}
{{- with .Values.triton -}}
{{- if eq .accelerator "cpu" -}}{{ include "reflex.image" (dict "root" $ "image" .cpuImage) }}
{{- else if .image.digest -}}{{ .image.repository }}@{{ .image.digest }}
{{- else -}}{{ .image.repository }}:{{ .image.tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "reflex.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "reflex.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "reflex.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- /* Hooks run before the chart's own account exists. */ -}}
{{- define "reflex.hookServiceAccountName" -}}
{{- if .Values.serviceAccount.create -}}default{{- else -}}{{ include "reflex.serviceAccountName" . }}{{- end -}}
{{- end -}}

{{- /* The pools as a JSON list; the only one has no name of its own when `pools` is empty. */ -}}
{{- define "reflex.pools" -}}
{{- $pools := list -}}
{{- range (default (list (dict "name" "")) .Values.pools) -}}
{{- $name := .name | default "" -}}
{{- $pools = append $pools (dict
      "name" (default "default" $name)
      "fullname" (ternary (printf "%s-%s" (include "reflex.fullname" $) $name) (include "reflex.fullname" $) (ne $name ""))
      "replicas" (ternary .replicas $.Values.replicas (hasKey . "replicas"))
      "nodeSelector" (merge (dict) (default dict .nodeSelector) $.Values.pod.nodeSelector)
      "tolerations" (concat $.Values.pod.tolerations (default list .tolerations))) -}}
{{- end -}}
{{- $pools | toJson -}}
{{- end -}}

{{- /* Where the engines of one pool lie: other images, another policy or source never meet in one folder. */ -}}
{{- define "reflex.enginesKey" -}}
{{- $what := dict "triton" (include "reflex.tritonImage" .root) "builder" (include "reflex.image" (dict "root" .root "image" .root.Values.engines.image)) "policy" .root.Values.policy "repository" (omit .root.Values.modelRepository "sizeLimit") -}}
{{- printf "%s/%s" .pool.name ($what | toJson | sha256sum | trunc 12) -}}
{{- end -}}

{{- define "reflex.enginesClaim" -}}
{{- default (printf "%s-engines" (include "reflex.fullname" .)) .Values.engines.storage.existingClaim -}}
{{- end -}}

{{- /* The Pod Security Standard "restricted", for pod and container. */ -}}
{{- define "reflex.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.pod.runAsUser }}
runAsGroup: {{ .Values.pod.runAsUser }}
fsGroup: {{ .Values.pod.runAsUser }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "reflex.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- /* Somebody else's container: ours in what it leaves open. Call with the container. */ -}}
{{- define "reflex.foreignContainer" -}}
{{- toYaml (mergeOverwrite (dict "securityContext" (include "reflex.containerSecurity" . | fromYaml)) .) -}}
{{- end -}}

{{- define "reflex.gpuLimits" -}}
{{- $resources := deepCopy .resources -}}
{{- if eq .root.Values.triton.accelerator "gpu" -}}
{{- $gpu := dict .root.Values.triton.gpuResource (.root.Values.triton.gpuCount | toString) -}}
{{- $resources = mergeOverwrite (dict "limits" dict) $resources (dict "limits" $gpu) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}
