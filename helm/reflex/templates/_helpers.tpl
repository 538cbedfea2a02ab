{{/* Names, labels and images. */}}

{{- /* A DNS-1035 label, which a Service's name must be: releases may have dots and begin with a digit, aliases of a chart
       may have capitals. Call with (dict "text" "..." "length" 63). */ -}}
{{- define "reflex.dnsLabel" -}}
{{- $text := regexReplaceAll "[^a-z0-9-]+" (lower .text) "-" | trimAll "-" | default "reflex" -}}
{{- if regexMatch "^[0-9]" $text -}}{{- $text = printf "r%s" $text -}}{{- end -}}
{{- regexReplaceAll "-+$" (trunc (int .length) $text) "" -}}
{{- end -}}

{{- define "reflex.name" -}}
{{- include "reflex.dnsLabel" (dict "text" (default .Chart.Name .Values.nameOverride) "length" 63) -}}
{{- end -}}

{{- /* 40 characters, so that a pool's name and a suffix still fit into the 63 of a label. */ -}}
{{- define "reflex.fullname" -}}
{{- $text := printf "%s-%s" .Release.Name (include "reflex.name" .) -}}
{{- if .Values.fullnameOverride -}}
{{- $text = .Values.fullnameOverride -}}
{{- else if contains (include "reflex.name" .) .Release.Name -}}
{{- $text = .Release.Name -}}
{{- end -}}
{{- include "reflex.dnsLabel" (dict "text" $text "length" 40) -}}
{{- end -}}

{{- define "reflex.labels" -}}
helm.sh/chart: {{ include "reflex.dnsLabel" (dict "text" .Chart.Name "length" 30) }}-{{ .Chart.Version | replace "+" "_" | trunc 32 }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "reflex.selector" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "reflex.selector" -}}
app.kubernetes.io/name: {{ include "reflex.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
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
  - name: {{ . | quote }}
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
{{- /* Helm's numbers are floats, which print a UID of OpenShift as 1.00068e+09. Without one, the cluster chooses. */ -}}
{{- if not (kindIs "invalid" .Values.pod.runAsUser) }}
runAsUser: {{ int64 .Values.pod.runAsUser }}
runAsGroup: {{ int64 .Values.pod.runAsUser }}
fsGroup: {{ int64 .Values.pod.runAsUser }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
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
